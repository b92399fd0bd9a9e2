# SPDX-License-Identifier: Apache-2.0
"""The closed list of reasons why cells of the state tables are not driven, by table.

Most are n/a: their event can't come about in their state, or an earlier row would decide, as the reason says. The
tests fail when a cell has neither a test nor a reason here, or both.
"""

from tests.core.states.link_rows import LINK
from tests.core.states.lossy_rows import LOSSY
from tests.core.states.reliable_rows import RELIABLE
from tests.core.states.sender_calls import SENDER

SUITES = (SENDER, RELIABLE, LOSSY, LINK)

# --- Sender session, section 5.13 ------------------------------------------------------------------------------------

SENDER.never("a sender that can send was not closed, and has not failed", "S01 S02 S03-OPEN S03-PARTIAL")
SENDER.never("a Lossy sender that fails has nothing to settle: it has ended at once (S54)", "S03-CLOSING")
SENDER.never(
    "a sender that has ended has nothing queued, and is never scheduled", "S18-ENDED S19-ENDED S20-ENDED S21-ENDED"
)
SENDER.never(
    "a sender that has ended has nothing queued, and is never scheduled", "S23-ENDED S24-ENDED S25-ENDED S26-ENDED"
)
SENDER.never(
    "a sender that has ended has nothing queued, and is never scheduled", "S27-ENDED S07-ENDED S09-ENDED S11-ENDED"
)
SENDER.never("a sender that has ended has settled everything", "S37-ENDED S39-ENDED S42-ENDED S44-ENDED")
SENDER.never(
    "a message begins only when none is partly written", "S18-PARTIAL S19-PARTIAL S20-PARTIAL S23-PARTIAL S24-PARTIAL"
)
SENDER.never(
    "no message is partly written here", "S21-OPEN S25-OPEN S26-OPEN S34-OPEN S34-ENDED S36-OPEN S36-ENDED S40-OPEN"
)
SENDER.never("no message is partly written here", "S40-ENDED S41-OPEN S41-ENDED S45-OPEN S45-ENDED")
SENDER.never("closing has given up every stream that was not finished", "S45-CLOSING")
SENDER.never("suspension has thrown a partly written Lossy message away", "S09-PARTIAL")
SENDER.never("the sender is not closed and has not failed, or has ended already", "S27-OPEN S27-PARTIAL S52 S53 S54")

# --- Reliable session at a receiver, section 5.14 --------------------------------------------------------------------

OPTION = "this implementation takes streams (CC-FRAG-030 is an option)"
RELIABLE.unreachable |= {"R10-PARTIAL": OPTION, "R11-PARTIAL": OPTION}

RELIABLE.never(
    "the row is about a session of which nothing is known",
    "R01-DEAD R01-DETACHED R01-DRAINING R01-OPEN R01-PARTIAL R07-DEAD R07-DETACHED R07-DRAINING R07-OPEN R07-PARTIAL",
)
RELIABLE.never(
    "nothing that has begun is there before the session is known",
    "R02-NONE R03-NONE R04-NONE R05-NONE R08-NONE R10-NONE R11-NONE R12-NONE R14-NONE R16-NONE R20-NONE "
    "R21-NONE R22-NONE R23-NONE R24-NONE R25-NONE R26-NONE R27-NONE R28-NONE R29-NONE R30-NONE R31-NONE "
    "R32-NONE R33-NONE R34-NONE R35-NONE R36-NONE R37-NONE R38-NONE R39-NONE R40-NONE R41-NONE R42-NONE "
    "R43-NONE R44-NONE R45-NONE R46-NONE R47-NONE R48-NONE R49-NONE",
)
RELIABLE.never(
    "nothing is unread or partial in a session without a receiver",
    "R03-DETACHED R05-DETACHED R08-DETACHED R10-DEAD R10-DETACHED R11-DETACHED R12-DETACHED R14-DETACHED "
    "R17-DEAD R20-DETACHED R21-DETACHED R22-DETACHED R23-DETACHED R25-DEAD R25-DETACHED R26-DEAD "
    "R26-DETACHED R27-DETACHED R29-DETACHED R32-DETACHED R34-DEAD R34-DETACHED R35-DEAD R35-DETACHED "
    "R37-DEAD R37-DETACHED R42-DEAD R42-DETACHED R45-DEAD R45-DETACHED R47-DEAD R47-DETACHED",
)
RELIABLE.never(
    "a message that begins while one is partial is out of order, R05 and R06",
    "R08-PARTIAL R09-PARTIAL R14-PARTIAL R15-PARTIAL R18-PARTIAL R19-PARTIAL",
)
RELIABLE.never(
    "no message is partial here: it would be out of order, R05 and R06",
    "R10-OPEN R11-DRAINING R11-OPEN R20-OPEN R21-OPEN R22-OPEN R25-DRAINING R25-OPEN R26-DRAINING R26-OPEN",
)
RELIABLE.never(
    "a session that is complete and has nothing unread is forgotten",
    "R16-DEAD R16-DETACHED R16-OPEN R16-PARTIAL R31-DEAD R31-DETACHED R31-OPEN R31-PARTIAL R36-DEAD "
    "R36-DETACHED R36-OPEN R36-PARTIAL R39-DEAD R39-DETACHED R39-OPEN R39-PARTIAL",
)
RELIABLE.never(
    "something is always unread while a session drains",
    "R41-DRAINING R46-DRAINING R48-DRAINING",
)

# --- Lossy session at a receiver, section 5.14 -----------------------------------------------------------------------

LOSSY.never(
    "DETACHED and DEAD have no receiver, and nothing unread or partial",
    "R50-DETACHED R57-DEAD R57-DETACHED R58-DEAD R60-DEAD R60-DETACHED R62-DEAD R62-DETACHED R63-DEAD "
    "R63-DETACHED R64-DEAD R64-DETACHED R67-DETACHED R72-DEAD R72-DETACHED R73-DEAD R73-DETACHED R75-DEAD "
    "R75-DETACHED R76-DEAD R76-DETACHED R80-DEAD R80-DETACHED R83-DEAD R83-DETACHED R84-DEAD R84-DETACHED "
    "R86-DEAD R86-DETACHED R87-DEAD R87-DETACHED",
)
LOSSY.never(
    "nothing that has begun is there before the session is known",
    "R50-NONE R51-NONE R52-NONE R54-NONE R57-NONE R60-NONE R62-NONE R63-NONE R64-NONE R67-NONE R69-NONE "
    "R70-NONE R71-NONE R72-NONE R73-NONE R74-NONE R75-NONE R76-NONE R77-NONE R78-NONE R79-NONE R80-NONE "
    "R81-NONE R82-NONE R83-NONE R84-NONE R85-NONE R86-NONE R87-NONE R88-NONE R89-NONE",
)
LOSSY.never(
    "an OPEN or DETACHED session ends as soon as a newer one is known, R72 to R74",
    "R53-DETACHED R53-OPEN",
)
LOSSY.never(
    "the row is about a session of which nothing is known",
    "R55-DEAD R55-DETACHED R55-DRAINING R55-LINGER R55-OPEN",
)
LOSSY.never(
    "OPEN and DRAINING have a receiver",
    "R59-DRAINING R59-OPEN R61-DRAINING R61-OPEN R74-DRAINING R74-OPEN R85-DRAINING R85-OPEN R88-DRAINING R88-OPEN",
)
LOSSY.never(
    "something is always unread while a session drains, and nothing partial",
    "R63-DRAINING R64-DRAINING R73-DRAINING R77-DRAINING R79-DRAINING R84-DRAINING R87-DRAINING",
)
LOSSY.never(
    "only LINGER waits for linger, and only DEAD for tombstone",
    "R69-DEAD R69-DETACHED R69-DRAINING R69-OPEN R70-DEAD R70-DETACHED R70-DRAINING R70-OPEN R71-DEAD "
    "R71-DETACHED R71-DRAINING R71-OPEN R81-DETACHED R81-DRAINING R81-LINGER R81-OPEN",
)

# --- Link, section 9.12 -----------------------------------------------------------------------------------------

LINK.never(
    "there is a current transport, so L02 or L03 holds",
    "L01-ACTIVE L01-RESUMING",
)
LINK.never(
    "no transport is current while the link is suspended",
    "L02-SUSPENDED L05-SUSPENDED L06-SUSPENDED L09-SUSPENDED L10-SUSPENDED L24-SUSPENDED L25-SUSPENDED "
    "L26-SUSPENDED L27-SUSPENDED L28-SUSPENDED L29-SUSPENDED L30-SUSPENDED L31-SUSPENDED L32-SUSPENDED "
    "L51-SUSPENDED "
    "L33-SUSPENDED L35-SUSPENDED L36-SUSPENDED",
)
LINK.never(
    "a link with a resume window of 0 is never suspended, and none is known before WELCOME",
    "L03-CONNECTING L03-RESUMING L03-SUSPENDED L07-CONNECTING L07-RESUMING L07-SUSPENDED L11-CONNECTING "
    "L11-DEAD L11-RESUMING L11-SUSPENDED",
)
LINK.never(
    "only an initiator is ever RESUMING",
    "L04-RESUMING L06-RESUMING L10-RESUMING L13-RESUMING L15-RESUMING L16-RESUMING L17-RESUMING "
    "L18-RESUMING L19-RESUMING L20-RESUMING L21-RESUMING L22-RESUMING L23-RESUMING L28-RESUMING "
    "L30-RESUMING L32-RESUMING L36-RESUMING L38-RESUMING",
)
LINK.never(
    "a dead link has no timers, and waits for nothing",
    "L09-DEAD L10-DEAD L49-DEAD L50-DEAD",
)
LINK.never(
    "an acceptor has no link yet: nothing can name it, and its unbound time ends before silence",
    "L10-CONNECTING L19-CONNECTING L21-CONNECTING L22-CONNECTING L23-CONNECTING",
)
LINK.never(
    "join and unbound time run in CONNECTING alone",
    "L12-ACTIVE L12-DEAD L12-RESUMING L12-SUSPENDED L13-ACTIVE L13-DEAD L13-SUSPENDED",
)
LINK.never(
    "the resume window runs in SUSPENDED and RESUMING alone",
    "L14-ACTIVE L14-CONNECTING L14-DEAD L15-ACTIVE L15-CONNECTING L15-DEAD",
)
LINK.never(
    "nobody has joined, L39 to L44; leaving ends the link at once, L47",
    "L40-CONNECTING L41-CONNECTING L43-CONNECTING L45-CONNECTING L46-CONNECTING L48-CONNECTING "
    "L49-CONNECTING L50-CONNECTING",
)
LINK.never(
    "no resume waits for an answer: L29 holds",
    "L51-CONNECTING L51-ACTIVE L51-DEAD",
)
LINK.never(
    "draining needs a transport in use: else leave time or resume come first",
    "L49-RESUMING L49-SUSPENDED",
)
