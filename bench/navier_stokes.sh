#!/usr/bin/env bash
# The literature's Navier-Stokes protocol (Li et al. 2021): vorticity on the unit torus, 64 x 64 points, ten frames in, the others out, an FNO-2D of width 20 with 12 modes applied
# frame by frame, 1000 motions to train, 200 to test, 500 epochs. Data are made on the CPU (half an hour to some hours, by viscosity), training wants a GPU.
#
#   bench/navier_stokes.sh 1e-3 [cuda|cpu] [motions] [epochs] [points] [rate] [seed]
#
# A small one for a CPU (half an hour): bench/navier_stokes.sh 1e-3 cpu 300 100 32 2e-3. A run that is stopped goes on where it was: start it again with the same arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
viscosity=${1:-1e-3}
device=${2:-cuda}
motions=${3:-1200}
epochs=${4:-500}
points=${5:-64}
rate=${6:-1e-3}
seed=${7:-0}
test=$((motions / 6))

case $viscosity in
  1e-3) last=50 ;;
  1e-4) last=30 ;;
  1e-5) last=20 ;;
  *) echo "viscosities of the protocol: 1e-3 (to time 50), 1e-4 (to 30), 1e-5 (to 20)" >&2; exit 2 ;;
esac

folder=out/navier-stokes-$viscosity-$points-$motions
data=$folder/data.h5
mkdir -p "$folder"
continuum() { dotnet run -c Release --project Cli -- "$@"; }

if [ ! -f "$data" ]; then
  continuum pde generate navier-stokes --n "$motions" --grid "$points" --viscosity "$viscosity" \
    --input-times "$(seq -s, 1 10)" --times "$(seq -s, 11 "$last")" --float32 --out "$data"
fi

modes=$((points / 2 - 1 < 12 ? points / 2 - 1 : 12))
continuum operator train "$data" --split $((motions - test)) --history 10 --width 20 --modes "$modes" --epochs "$epochs" \
  --batch 20 --rate "$rate" --seed "$seed" --device "$device" --out "$folder/seed-$seed" --resume
