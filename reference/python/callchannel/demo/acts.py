# SPDX-License-Identifier: Apache-2.0
"""The acts of the demonstration that a group call and a peer-to-peer call have in common."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from callchannel.demo.ledger import Item
from callchannel.demo.payloads import FILL, png, text
from callchannel.demo.scenario import Delivery
from callchannel.demo.stage import Stage
from callchannel.demo.summary import Consequence, Findings, LossyRow, counters
from callchannel.demo.talking import Report
from callchannel.escaping import quoted


class Acts:
    """Directs a stage. `everyone` is in the call."""

    def __init__(self, stage: Stage, everyone: tuple[str, ...], findings: Findings) -> None:
        self.stage = stage
        self.everyone = everyone
        self.findings = findings

    # --- Reliable -------------------------------------------------------------------------------------------------

    async def deliver(self, delivery: Delivery) -> None:
        """Texts and an image with high priority beside a file, to the same recipients."""
        stage, scenario, name = self.stage, self.stage.scenario, delivery.sender
        recipients = delivery.recipients(self.everyone)
        stage.view.act(delivery.title)
        target = {"to": list(delivery.to), "exclude": list(delivery.exclude)}
        private = bool(delivery.to or delivery.exclude)
        file = self._file(delivery, "file", recipients, scenario.file_bytes, private)
        image = png(scenario.image_side)
        image_path = stage.folder / "image.png"
        image_path.write_bytes(image)
        image_item = self._expect(delivery, "image", f"{name}.image.png", image, recipients, private)
        texts = []
        for number in range(1, scenario.texts + 1):
            words = text(f"{name} {delivery.title}", number)
            item = self._expect(delivery, "text", f"{name}.text-{number:02}", words.encode(), recipients, private)
            texts.append({"id": item.id, "text": words})
        before = stage.view.seconds
        file_report, texts_report = await stage.together(
            stage.do(name, "file", id=file.id, path=str(self._path(file)), **target),
            stage.do(
                name,
                "texts",
                texts=texts,
                image={"id": image_item.id, "path": str(image_path)},
                interval=scenario.text_interval,
                **target,
            ),
        )
        if "began" in file_report:
            stage.ledger.began[file.id] = file_report["began"]
        await stage.settle(delivery.title)
        seconds = stage.view.seconds - before
        self._check_reached(file_report, recipients)
        overtook, all_of_them = stage.ledger.overtaking(delivery.title)
        if not overtook:
            stage.fault(f"{delivery.title}: nothing of high priority overtook the file of {quoted(name)}")
        channels = f"channels {texts_report.get('channel')} and {file_report.get('channel')}"
        stage.view.told(
            f"{quoted(name)} to {', '.join(map(quoted, recipients))}: {scenario.texts} texts, an image, a file of "
            f"{scenario.file_bytes:,} bytes in {seconds:.1f} s; on {channels}, high priority overtook the file "
            f"{overtook} of {all_of_them} times"
        )

    async def text(self, delivery: Delivery) -> None:
        """A single text."""
        recipients = delivery.recipients(self.everyone)
        words = text(f"{delivery.sender} {delivery.title}", 1)
        item = self._expect(
            delivery, "text", f"{delivery.sender}.single", words.encode(), recipients, bool(delivery.to)
        )
        await self.stage.do(
            delivery.sender,
            "texts",
            texts=[{"id": item.id, "text": words}],
            interval=0,
            to=list(delivery.to),
            exclude=list(delivery.exclude),
        )
        await self.stage.settle(delivery.title)

    def _check_reached(self, report: Report, recipients: Sequence[str]) -> None:
        """What the sender is told of a delivered message has to be what happened."""
        reached = report.get("reached")
        if reached is not None and reached != sorted(recipients):
            told = ", ".join(map(quoted, reached))
            self.stage.fault(f"the sender of {quoted(str(report['id']))} is told that it reached {told}")

    def _file(self, delivery: Delivery, label: str, recipients: tuple[str, ...], size: int, private: bool) -> Item:
        name = f"{delivery.sender}.{label}.bin"
        digest = hashlib.sha256()
        with open(self.stage.folder / name, "wb") as file:
            left = size
            while left:
                piece = os.urandom(min(left, 1 << 20))
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        item = Item(
            id=name,
            kind="file",
            sender=delivery.sender,
            recipients=recipients,
            size=size,
            sha256=digest.hexdigest(),
            private=private,
            group=delivery.title,
        )
        self.stage.ledger.expect(item)
        return item

    def _path(self, file: Item) -> Path:
        return self.stage.folder / file.id

    def _expect(
        self,
        delivery: Delivery,
        kind: str,
        name: str,
        data: bytes,
        recipients: tuple[str, ...],
        private: bool,
        *,
        lossy: bool = False,
    ) -> Item:
        item = Item(
            id=name,
            kind=kind,
            sender=delivery.sender,
            recipients=recipients,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            private=private,
            group=delivery.title,
            lossy=lossy,
        )
        self.stage.ledger.expect(item)
        return item

    # --- Lossy ----------------------------------------------------------------------------------------------------

    async def lossy(self, sender: str) -> None:
        """A text and ticks at a pace; then more than the connection takes."""
        stage, scenario = self.stage, self.stage.scenario
        others = tuple(name for name in self.everyone if name != sender)
        delivery = Delivery(title="lossy", sender=sender)
        stage.view.act("lossy")
        words = text(f"{sender}, lossy", 1)
        item = self._expect(delivery, "text", f"{sender}.lossy-text", words.encode(), others, False, lossy=True)
        await stage.do(sender, "lossy_text", id=item.id, text=words, to=[])
        ticks = await self._ticks(sender, others, "ticks", scenario.ticks, scenario.tick_interval, 32)
        for row in ticks:
            if not row.received:
                stage.fault(f"{quoted(row.recipient)} received none of {row.sent:,} ticks of {quoted(sender)}")
        received = sum(row.received for row in ticks)
        stage.view.told(f"{quoted(sender)} sent {scenario.ticks:,} ticks to everyone; {received:,} arrived in all")

        stage.view.act("lossy, queue full")
        burst = await self._ticks(sender, others, "burst", scenario.burst, 0, scenario.burst_bytes)
        dropped = burst[0].dropped.get("queue_full", 0)
        if not dropped:
            stage.fault("a burst of Lossy messages did not fill the sender's queue")
        stage.view.told(
            f"{quoted(sender)} sent {scenario.burst:,} messages of {scenario.burst_bytes:,} bytes at once: "
            f"{dropped:,} of them, always the oldest, were dropped from its full queue"
        )
        filled = await self._fill(sender, others[0])
        self.findings.consequences.append(
            Consequence(cause="the queue is full", reliable=filled, lossy=f"dropped: queue_full {dropped:,}")
        )

    async def _ticks(
        self, sender: str, others: tuple[str, ...], what: str, count: int, interval: float, size: int
    ) -> list[LossyRow]:
        stage = self.stage
        name = f"{sender}.{what}"
        report = await stage.do(sender, "ticks", id=name, count=count, interval=interval, bytes=size, to=[])
        drops = report.get("drops", {})
        rows = []
        for other in others:
            tally = await stage.do(other, "tally", of=name, timeout=stage.patience / 4)
            received = tally.get("count", 0)
            row = LossyRow(
                what=what,
                sender=sender,
                recipient=other,
                sent=count,
                received=received,
                size=tally.get("bytes", 0),
                damaged=tally.get("damaged", 0),
                checksum=str(tally.get("sha256", ""))[:12] if received else "",
                latency=tally.get("latency"),
                dropped=drops,
                elsewhere=count - received - sum(drops.values()),
            )
            rows.append(row)
            if row.damaged:
                stage.fault(f"{quoted(other)} received {row.damaged:,} damaged {what} of {quoted(sender)}")
            if row.elsewhere < 0:
                stage.fault(f"{quoted(other)} received more {what} than {quoted(sender)} has sent")
        self.findings.lossy.extend(rows)
        return rows

    async def _fill(self, sender: str, other: str) -> str:
        """Fill a Reliable sender's buffer: what `send_nowait` does, and that `send` waits."""
        stage = self.stage
        name = f"{sender}.block"
        report = await stage.do(sender, "fill", id=name, to=[other])
        delivery = Delivery(title="queue full", sender=sender, to=(other,))
        for number in range(report.get("queued", 0) + 1):
            self._expect(delivery, "block", f"{name}-{number}", bytes(FILL), (other,), True)
        await stage.settle(delivery.title)
        if report.get("refusal") != "WouldBlock":
            stage.fault(f"a full Reliable sender raised {report.get('refusal')}, not WouldBlock")
        stage.view.told(
            f"{quoted(sender)} queued {report.get('queued', 0)} Reliable messages of {FILL:,} bytes for "
            f"{quoted(other)}; the next had to wait, and all arrived"
        )
        return f"send_nowait raises {report.get('refusal')}; send waits"

    # --- the connection -------------------------------------------------------------------------------------------

    async def cut(self, victim: str, other: str) -> None:
        """A connection is cut while files go both ways, and comes back."""
        stage, scenario = self.stage, self.stage.scenario
        stage.view.act("connection cut")
        halves = (
            Delivery(title="connection cut", sender=other, to=(victim,)),
            Delivery(title="connection cut", sender=victim, to=(other,)),
        )
        files = [self._file(half, "cut", half.to, scenario.cut_file_bytes, True) for half in halves]
        await stage.do(victim, "cut_at", file=files[0].id, bytes=scenario.cut_file_bytes // 2)
        reports = await stage.together(
            *(
                stage.do(file.sender, "file", id=file.id, path=str(self._path(file)), to=file.recipients, exclude=[])
                for file in files
            )
        )
        for file, report in zip(files, reports, strict=True):
            if "began" in report:
                stage.ledger.began[file.id] = report["began"]
        await stage.settle("connection cut")
        marks = [kind for name, kind in stage.marks if name == victim]
        if marks != ["cut", "suspended", "resumed"]:
            stage.fault(f"the connection of {quoted(victim)} was to be cut, suspended and resumed, it was {marks}")
        counted = await stage.do(victim, "statistics")
        stage.view.told(
            f"the connection of {quoted(victim)} was cut in the middle of files from and to {quoted(other)}, and came "
            f"back: {counted.get('resumes', 0)} resume, {counted.get('frames_retransmitted', 0)} frames written again"
        )

    # --- leaving --------------------------------------------------------------------------------------------------

    async def leave(self, leaver: str, sender: str) -> tuple[Report, dict[str, int]]:
        """Somebody leaves, and is sent to: what `send` raised, and what Lossy counted."""
        stage = self.stage
        stage.view.act("leaving")
        await stage.do(sender, "prepare", to=[leaver])
        await stage.do(leaver, "leave")
        await stage.do(sender, "wait_absent", absent=leaver)
        tried = await stage.do(sender, "try")
        reliable, drops = tried.get("reliable", {}), tried.get("drops", {})
        names = f", naming {', '.join(map(quoted, reliable['named']))}" if reliable.get("named") else ""
        raised = f"send raises {reliable.get('error')} [{reliable.get('code')}]{names}"
        self.findings.consequences.append(
            Consequence(
                cause=f"{quoted(leaver)} has left", reliable=raised, lossy=f"dropped: {counters(drops) or 'nothing'}"
            )
        )
        stage.view.told(f"{quoted(leaver)} has left; to {quoted(leaver)}, {raised}, Lossy drops {counters(drops)}")
        return reliable, drops
