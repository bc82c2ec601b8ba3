"""Names that storage, shells, patterns and URLs could take for something else."""

ODD_NAMES = (
    "a b", "a::b", "p[1]", "p[!x]*?", "50%", "a%20b", "a+b", "a#b?c=d&e", "k\u00e4se", "ka\u0308se", "'q\"`$HOME`", "~",
    "~x", "-x", "{000..002}", "a\\b", "file:x", "zip::x", "simplecache::x", "s3::b", "key=a", "$x^2_3$", "a@b:c",
    "l\ni",
)  # fmt: skip
ALL_OF_IT = "k\u00e4se [1]*?#%20+::~@'{0..1}$"
"""A name that all who read folders must stand."""
