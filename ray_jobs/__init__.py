"""The only Ray: thin jobs around the pipeline.

shard_openimages.py   the shard job, to run or to submit
command.py            its command line -> a config
sharding.py           its steps, and the cluster that it opens once there is work
units_on_ray.py       units -> results, by a pool of encoder actors
verify_shards.py      the verify job, to run or to submit
verifying.py          its steps
cluster.py            joining or starting Ray, and what fits there
"""
