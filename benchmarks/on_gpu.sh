#!/usr/bin/env bash
# All that is to be found out on a machine with one NVIDIA card, in one go of ten minutes at most and without a network.
#
#     benchmarks/on_gpu.sh collect WHEELS       where there is a network: the wheels that such a machine lacks
#     benchmarks/on_gpu.sh run OUT [WHEELS]     there: tests, lessons, training and sampling; results go to OUT
#     benchmarks/on_gpu.sh rehearse OUT         anywhere: the same parts on the CPU, short, with useless numbers
#
# The machine has Python 3.12 and PyTorch 2.11 with CUDA, and what benchmarks/requirements-gpu.txt does not name. Parts
# (ONLY="tests speed" asks for some of them again) run in order of worth, each with a time limit of its own, and every result is written as it comes (`python -m
# benchmarks.gpu --help`), so that a run that is cut off loses the part at hand alone.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3-; exit 2; }
[ $# -ge 2 ] || usage
case $1 in
    collect)
        platforms=()
        for glibc in 2_17 2_24 2_27 2_28 2_34; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
        python3 -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
            "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
            --dest "$2" -r benchmarks/requirements-gpu.txt
        ;;
    run)
        out=$(mkdir -p "$2" && realpath "$2")
        if [ $# -ge 3 ]; then
            site=$(mktemp -d)
            python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$3"/*.whl
            export PYTHONPATH=$site
        fi
        PYTHONUNBUFFERED=1 exec python3 -m benchmarks.gpu "$out" ${ONLY:+--only $ONLY}
        ;;
    rehearse)
        PYTHONUNBUFFERED=1 exec "${PYTHON:-python3}" -m benchmarks.gpu --rehearse "$2"
        ;;
    *) usage ;;
esac
