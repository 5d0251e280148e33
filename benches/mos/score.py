"""What Microsoft's models of human listeners say of the sounds that the simulations made: PLCMOS (loss), DNSMOS (noise).

usage: score.py FOLDER      (`make mos` installs what this needs, makes the sounds and calls this)
"""

import sys
from pathlib import Path
from statistics import median

import soundfile
from speechmos import dnsmos, plcmos

# Issue 3's targets: median of five seeds; DNSMOS with strong noise suppression above the untouched noise.
PLCMOS = {"burst10": 4.3, "burst20": 4.2, "burst30": 4.0, "mean5": 3.9}
DNSMOS_GAIN = {"keyboard": 0.4, "babble": 0.4}


def load(path):
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16_000, f"{path} has {rate} Hz"
    return samples


def row(what, target, value, reached):
    print(f"{what:<58} ≥ {target:<5} {value:6.2f}  {'reached' if reached else 'MISSED'}")
    return reached


def main(folder):
    reached = []
    for name, target in PLCMOS.items():
        files = sorted(folder.glob(f"plc-{name}-*.wav"))
        assert len(files) == 5, f"{len(files)} sounds of {name}"
        scores = [plcmos.run(load(file), sr=16_000)["plcmos"] for file in files]
        value = median(scores)
        reached.append(row(f"PLCMOS, {name}, median of five", target, value, value >= target))
    for name, target in DNSMOS_GAIN.items():
        before, after = (
            dnsmos.run(load(folder / f"dns-{name}-{kind}.wav"), sr=16_000)["ovrl_mos"] for kind in ("noisy", "strong")
        )
        what = f"DNSMOS overall, {name}: {before:.2f} → {after:.2f}, gain"
        reached.append(row(what, target, after - before, after - before >= target))
    return all(reached)


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) else 1)
