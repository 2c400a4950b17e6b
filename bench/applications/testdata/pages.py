# FOLDER WHEELS saves, as pip asks for them, the page of each project of which there is a
# wheel, and the metadata that the page says the wheel has. pip's own cache does not have them
# if the index forbids keeping them.
import pathlib, subprocess, sys
from pip._internal.network.session import PipSession
folder, wheels = map(pathlib.Path, sys.argv[1:])
folder.mkdir(exist_ok=True)
index = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True).stdout.strip()
if not index:
    from pip._internal.models.index import PyPI
    index = PyPI.simple_url
session = PipSession(retries=5)
for wheel in sorted(wheels.iterdir()):
    name = wheel.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
    page = session.get(f"{index.rstrip('/')}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    page.raise_for_status()
    (folder / f"{name}.json").write_bytes(page.content)
    file = next(f for f in page.json()["files"] if f["filename"] == wheel.name)
    if file.get("core-metadata"):
        metadata = session.get(file["url"] + ".metadata")
        metadata.raise_for_status()
        (folder / f"{wheel.name}.metadata").write_bytes(metadata.content)
