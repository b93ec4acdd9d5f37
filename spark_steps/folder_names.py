"""The names of the directories that hold the rows of image folders, as Spark writes them."""

from urllib.parse import unquote

from spark_steps.schemas import FOLDER

# The characters that Spark escapes in a partition's directory name
# (org.apache.spark.sql.catalyst.catalog.ExternalCatalogUtils.escapePathName, Spark 3.5).
_ESCAPED = {chr(code) for code in range(1, 0x20)} | set("\"#%'*/:=?\\\x7f{[]^")


def directory_name(folder: str) -> str:
    """Returns the name of the directory that holds a folder's rows, escaped as Spark does."""
    return f"{FOLDER}=" + "".join(f"%{ord(one):02X}" if one in _ESCAPED else one for one in folder)


def folder_of(name: str) -> str | None:
    """Returns the folder whose rows a directory holds; None where it is none of a folder."""
    prefix = f"{FOLDER}="
    return unquote(name.removeprefix(prefix)) if name.startswith(prefix) else None
