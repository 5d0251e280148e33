"""A WebRTC endpoint that is not ours (aiortc): says one WAV, and writes down in another what it hears.

usage: aiortc_peer.py offer|answer DIR SAYS.wav HEARS.wav SECONDS

The descriptions are exchanged as `twocans sdp` does. SECONDS after the connection it hangs up, or never if 0; then it
goes when the other side does. Each change of the connection's state is a line on standard output.
"""

import asyncio
import fractions
import json
import os
import sys
import time
import wave

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

RATE_HZ = 48000
FRAME = RATE_HZ // 50


class Speech(MediaStreamTrack):
    """A WAV (48 kHz, mono, 16 bits) in real time, with silence around it."""

    kind = "audio"

    def __init__(self, path):
        super().__init__()
        with wave.open(path) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
            # A second of silence: the other side may open its ears a little late.
            self.samples = bytes(2 * RATE_HZ) + file.readframes(file.getnframes())
        self.sent = 0
        self.began = None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.sent / RATE_HZ - time.monotonic()))
        piece = self.samples[2 * self.sent : 2 * (self.sent + FRAME)].ljust(2 * FRAME, b"\0")
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(piece)
        frame.sample_rate = RATE_HZ
        frame.pts = self.sent
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self.sent += FRAME
        return frame


async def write_down(track, path):
    """Until the track ends."""
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        try:
            while True:
                frame = await track.recv()
                stereo = memoryview(bytes(frame.planes[0])).cast("h")[: 2 * frame.samples]
                file.writeframes(stereo[::2].tobytes())
        except MediaStreamError:
            pass


def put(folder, description):
    path = os.path.join(folder, description.type + ".json")
    with open(path + ".half", "w") as file:
        json.dump({"type": description.type, "sdp": description.sdp}, file)
    os.rename(path + ".half", path)


async def get(folder, kind):
    path = os.path.join(folder, kind + ".json")
    while not os.path.exists(path):
        await asyncio.sleep(0.05)
    with open(path) as file:
        return RTCSessionDescription(**json.load(file))


async def main(side, folder, says, hears, seconds):
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connected, gone = asyncio.Event(), asyncio.Event()
    listening = []

    @peer.on("connectionstatechange")
    def changed():
        print(peer.connectionState, flush=True)
        if peer.connectionState == "connected":
            connected.set()
        if peer.connectionState in ("closed", "failed"):
            gone.set()

    @peer.on("track")
    def heard(track):
        listening.append(asyncio.ensure_future(write_down(track, hears)))

    if side == "offer":
        peer.addTrack(Speech(says))
        await peer.setLocalDescription(await peer.createOffer())
        put(folder, peer.localDescription)
        await peer.setRemoteDescription(await get(folder, "answer"))
    else:
        await peer.setRemoteDescription(await get(folder, "offer"))
        peer.addTrack(Speech(says))
        await peer.setLocalDescription(await peer.createAnswer())
        put(folder, peer.localDescription)
    await connected.wait()
    if seconds:
        await asyncio.sleep(seconds)
    else:
        await gone.wait()
    await peer.close()
    await asyncio.gather(*listening)


side, folder, says, hears, seconds = sys.argv[1:]
asyncio.run(main(side, folder, says, hears, float(seconds)))
