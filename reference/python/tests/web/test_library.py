# SPDX-License-Identifier: Apache-2.0
"""The JavaScript implementation in a real browser, without the page: peer to peer, audio, packets, timers."""

import asyncio
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack

from callchannel.aio import Call
from callchannel.core.events import Resumed
from callchannel.webrtc import answering, offering
from tests.web.staging import harness, launched, staged

TWO_IN_ONE_PAGE = """
async () => {
    const { Call, openTransport, awaitTransport } = await import("./callchannel/index.js");
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pairs = [];
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    // Both ends belong to the application, and carry the sound of its microphone; callchannel is added to them.
    const connect = async ({ signal }) => {
        const [left, right] = [new RTCPeerConnection(), new RTCPeerConnection()];
        left.addEventListener("icecandidate", ({ candidate }) => candidate && right.addIceCandidate(candidate));
        right.addEventListener("icecandidate", ({ candidate }) => candidate && left.addIceCandidate(candidate));
        left.addTrack(microphone.getAudioTracks()[0], microphone);
        const own = left.createDataChannel("the application's own");
        const opening = openTransport(left, { signal });
        awaitTransport(right).then((transport) => bob.accept(transport));
        await left.setLocalDescription();
        await right.setRemoteDescription(left.localDescription);
        await right.setLocalDescription();
        await left.setRemoteDescription(right.localDescription);
        pairs.push({ left, right, own });
        return opening;
    };
    const ann = await Call.join({ role: "initiator", id: "ann", connect });
    await bob.join();
    const resumed = new Promise((done) => ann.addEventListener("resumed", done));
    const sender = ann.createSender({ confirm: "delivered" });
    const lossy = ann.createSender({ reliability: "lossy", latest: true });
    const texts = [];
    const read = (async () => {
        for await (const receiver of bob.receivers()) {
            if (!receiver.reliable) continue;
            for await (const message of receiver) {
                texts.push(await message.text());
                if (texts.length === 60) return;
            }
        }
    })();
    const heard = async () => {
        for (;;) {
            const reports = [...(await pairs.at(-1).right.getStats()).values()];
            const sound = reports.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
            if (sound?.packetsReceived > 20 && sound.bytesReceived > 0) return true;
            await new Promise(requestAnimationFrame);
        }
    };
    const sends = [];
    for (let at = 0; at < 30; at += 1) {
        sends.push(sender.sendText(`text ${at}`));
        await lossy.send(Uint8Array.of(at));
    }
    const soundBefore = await heard();
    await Promise.all(sends);
    const first = pairs[0];
    first.left.close(); // the application closes its own connection
    for (let at = 30; at < 60; at += 1) sends.push(sender.sendText(`text ${at}`));
    await resumed;
    const reports = (await Promise.all(sends)).map(({ report }) => report.reached.map(({ id }) => id).join());
    await read;
    const soundAfter = await heard();
    const ownOpen = pairs[1].own.readyState;
    await ann.leave();
    await bob.ended;
    return {
        texts, reports, soundBefore, soundAfter, pairs: pairs.length, ownOpen,
        // left to the application, which did not ask for it to be closed
        stillUp: pairs[1].left.connectionState,
        resumes: ann.statistics?.resumes,
    };
}
"""


async def test_with_itself_beside_sound_over_the_applications_own_connections(chromium: str) -> None:
    async with launched(chromium) as browser:
        page = await harness(await browser.new_context(permissions=["microphone"]))
        result = await page.evaluate(TWO_IN_ONE_PAGE)
    assert result["texts"] == [f"text {number}" for number in range(60)]
    assert result["reports"] == ["bob"] * 60
    assert (result["soundBefore"], result["soundAfter"], result["pairs"]) == (True, True, 2)
    assert (result["ownOpen"], result["stillUp"]) == ("open", "connected")


PEER = """
async ({ initiator, answer }) => {
    const { Call, openTransport, awaitTransport } = await import("./callchannel/index.js");
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    const gathered = (connection) => new Promise((done) => {
        const look = () => connection.iceGatheringState === "complete" && done();
        connection.addEventListener("icegatheringstatechange", look);
        look();
    });
    globalThis.connections = [];
    const made = () => {
        const connection = new RTCPeerConnection();
        connection.addTrack(microphone.getAudioTracks()[0], microphone);
        connections.push(connection);
        return connection;
    };
    globalThis.take = async (offer) => {
        const connection = made();
        awaitTransport(connection, { owned: true }).then((transport) => call.accept(transport));
        await connection.setRemoteDescription({ type: "offer", sdp: offer });
        await connection.setLocalDescription();
        await gathered(connection);
        return connection.localDescription.sdp;
    };
    const connect = async ({ signal }) => {
        const connection = made();
        const opening = openTransport(connection, { owned: true, signal });
        await connection.setLocalDescription();
        await gathered(connection);
        const sdp = await exchange(connection.localDescription.sdp);
        await connection.setRemoteDescription({ type: "answer", sdp });
        return opening;
    };
    globalThis.call = initiator
        ? new Call({ role: "initiator", id: "js", connect })
        : new Call({ role: "acceptor", id: "js", peer: "py" });
    const echo = async (receiver, sender) => {
        for await (const message of receiver) await sender.send(await message.bytes());
    };
    (async () => {
        let sender;
        for await (const receiver of call.receivers()) {
            sender ??= call.createSender();
            void echo(receiver, sender);
        }
    })();
    if (initiator) await call.join();
}
"""


@pytest.mark.parametrize("initiator", ["javascript", "python"])
async def test_peer_to_peer_with_python(chromium: str, initiator: str) -> None:
    """Either side begins; what Python sends comes back; a connection that is cut is replaced."""
    async with launched(chromium) as browser:
        page = await harness(await browser.new_context(permissions=["microphone"]))
        offers: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

        async def exchange(offer: str) -> str:
            """For the page: carries its offer to Python, and the answer back."""
            answer = asyncio.get_running_loop().create_future()

            async def reply(sdp: str) -> None:
                answer.set_result(sdp)

            await offers.put((offer, reply))
            return str(await answer)

        def prepare(connection: RTCPeerConnection) -> None:
            connection.addTrack(AudioStreamTrack())

        await page.expose_function("exchange", exchange)
        python_begins = initiator == "python"
        joining = asyncio.ensure_future(page.evaluate(PEER, {"initiator": not python_begins}))
        if python_begins:
            await joining
            connect = offering(lambda offer: page.evaluate("(offer) => take(offer)", offer), prepare=prepare)
            call = await Call.peer_to_peer(connect, initiator=True, identity="py")
        else:
            connect = answering(offers.get, prepare=prepare)
            call = await Call.peer_to_peer(connect, initiator=False, identity="py", peer_identity="js")
            await joining
        resumed = asyncio.get_running_loop().create_future()
        call.on(Resumed, lambda event: resumed.done() or resumed.set_result(event))
        async with call, call.create_sender(confirm="delivered") as sender:
            sent = [bytes([number]) * size for number, size in enumerate((0, 1, 16_384, 70_000, 300_000))]
            for data in sent:
                await sender.send(data)
            receiver = await anext(call.receivers())
            assert [(await receiver.receive()).data for _ in sent] == sent
            await page.evaluate("connections.at(-1).close()")
            sending = asyncio.ensure_future(sender.send(b"while it is cut"))
            await resumed
            assert (await sending).reached == ("js",)
            assert (await receiver.receive()).data == b"while it is cut"


MEASURED = """
() => {
    globalThis.measured = { reliable: [], lossy: [], buffered: 0 };
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (data) {
        send.call(this, data);
        measured[this.label]?.push(data.byteLength);
        measured.buffered = Math.max(measured.buffered, this.bufferedAmount);
    };
}
"""

SENDS = """
async ({ base, bytes }) => {
    const { Call, Signalling, openTransport } = await import(base + "web/callchannel/index.js");
    const signalling = new Signalling({ base, call: "tea", identity: "js" });
    globalThis.call = await Call.join({
        role: "group",
        id: "js",
        connect: async ({ signal }) => {
            const connection = new RTCPeerConnection();
            const opening = openTransport(connection, { owned: true, signal });
            const [transport] = await Promise.all([opening, signalling.negotiate(connection, signal)]);
            return transport;
        },
    });
    const lossy = call.createSender({ reliability: "lossy" });
    await lossy.send(new Uint8Array(30_000));
    const sender = call.createSender({ confirm: "delivered" });
    const data = new Uint8Array(bytes).map((_, at) => at % 251);
    globalThis.sent = sender.sendFile(new Blob([data])).then(({ report }) => report.reached.map(({ id }) => id));
}
"""


async def test_packets_have_16_kib_at_most_and_buffers_stay_low(chromium: str) -> None:
    """CC-FRAME-002 and section 12.7: Chromium takes messages of 256 KiB and buffers 16 MiB; neither is used."""
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        page = await (await stage.browser.new_context()).new_page()
        await page.goto(stage.server.url + "/web/about.json")
        await page.evaluate(MEASURED)
        await page.evaluate(SENDS, {"base": stage.server.url + "/", "bytes": 3_000_000})
        async for receiver in pia.receivers():
            if receiver.reliability.value == "reliable":
                message = await receiver.receive()
                data = b"".join([part async for part in receiver.chunks(message)])
                break
        assert data == bytes(at % 251 for at in range(3_000_000))
        assert await page.evaluate("sent") == ["pia"]
        measured = await page.evaluate("measured")
        assert 16_000 < max(measured["reliable"]) <= 16_384
        assert 1_000 < max(measured["lossy"]) <= 1_150
        assert 65_536 <= measured["buffered"] < 65_536 + 2 * 16_384
        await page.evaluate("call.leave()")


async def test_acknowledgements_of_what_arrives_need_no_timer(chromium: str) -> None:
    """A tab in the background has slow timers; here it has none at all. A link stops at 1 MiB without ACK frames."""
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        page = await (await stage.browser.new_context()).new_page()
        await page.goto(stage.server.url + "/web/about.json")
        await page.evaluate(SENDS, {"base": stage.server.url + "/", "bytes": 1})
        await page.evaluate(
            """() => {
                globalThis.setTimeout = () => 0;
                globalThis.setInterval = () => 0;
                globalThis.got = (async () => {
                    for await (const receiver of call.receivers()) {
                        for await (const message of receiver) return (await message.bytes()).length;
                    }
                })();
            }"""
        )
        async with pia.create_sender(to=["js"], confirm="delivered") as sender, sender.open_stream() as stream:
            for _ in range(40):
                await stream.write(bytes(100_000))
        assert await page.evaluate("got") == 4_000_000
        await page.close()
