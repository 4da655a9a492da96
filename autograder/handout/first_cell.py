# First cell on Colab or Kaggle: upload the pack's zip (Kaggle: as a data set), put this above everything else, run it.
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import zipfile

if importlib.util.find_spec("course_lib") is None:
    places = [place for place in map(pathlib.Path, (".", "/content", "/kaggle/input")) if place.is_dir()]
    wheels = [path for place in places for path in sorted(place.rglob("course_lib-*.whl"))]
    for pack in [path for place in places for path in sorted(place.rglob("*.zip"))] if not wheels else []:
        with zipfile.ZipFile(pack) as files:
            names = [name for name in files.namelist() if pathlib.PurePath(name).match("course_lib-*.whl")]
            wheels += [pathlib.Path(files.extract(name, tempfile.mkdtemp())) for name in names]
    if not wheels:
        raise FileNotFoundError("upload the course's zip, or course_lib-….whl out of it, and run this cell again")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", str(wheels[-1])], check=True)
    importlib.invalidate_caches()
print("ready: go on with the next cell")
