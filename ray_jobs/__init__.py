"""The only Ray: thin jobs around the pipeline.

shard_openimages.py and verify_shards.py are the scripts to submit; cluster, units_on_ray and command serve them.
"""
