// SPDX-License-Identifier: Apache-2.0
// Made from spec/registry by `python -m tools.spec_render`.
/** Layout and names of the wire, from the registries. @type {import("./explain.js").Layout} */
export const registry = {
 "start": [
  {
   "name": "type",
   "type": "u8",
   "bits": 8,
   "when": null,
   "block": null,
   "repeat": false,
   "meaning": "frame type"
  },
  {
   "name": "flags",
   "type": "u8",
   "bits": 8,
   "when": null,
   "block": null,
   "repeat": false,
   "meaning": "flags of this type; undefined bits are zero"
  },
  {
   "name": "length",
   "type": "u16",
   "bits": 16,
   "when": null,
   "block": null,
   "repeat": false,
   "meaning": "bytes of the whole frame, these four included"
  }
 ],
 "frames": {
  "1": {
   "name": "DATA",
   "meaning": "a message, or a fragment of one",
   "value": null,
   "flags": [
    {
     "name": "RELIABLE",
     "bit": 1,
     "meaning": "the session is Reliable; clear: Lossy"
    },
    {
     "name": "HIGH",
     "bit": 2,
     "meaning": "the session has high priority"
    },
    {
     "name": "FRAGMENT",
     "bit": 4,
     "meaning": "the fragment block is there"
    },
    {
     "name": "RECIPIENTS",
     "bit": 8,
     "meaning": "the recipient block is there"
    },
    {
     "name": "PRIVATE",
     "bit": 16,
     "meaning": "addressed to some; kept when the relay removes the block"
    },
    {
     "name": "CONFIRM",
     "bit": 32,
     "meaning": "the sender wants a receipt"
    },
    {
     "name": "LATEST",
     "bit": 64,
     "meaning": "a newer message supersedes this one"
    },
    {
     "name": "EXTENSIONS",
     "bit": 128,
     "meaning": "the extension block is there"
    }
   ],
   "fields": [
    {
     "name": "channel",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "1 to 65,535"
    },
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "1 and up, strictly increasing per link"
    },
    {
     "name": "sequence",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "number of the message in its session, from 1"
    },
    {
     "name": "fragment",
     "type": "block",
     "bits": null,
     "when": "FRAGMENT",
     "block": "fragment",
     "repeat": false,
     "meaning": "place of this fragment"
    },
    {
     "name": "recipients",
     "type": "block",
     "bits": null,
     "when": "RECIPIENTS",
     "block": "recipients",
     "repeat": false,
     "meaning": "who it is for"
    },
    {
     "name": "extensions",
     "type": "block",
     "bits": null,
     "when": "EXTENSIONS",
     "block": "extensions",
     "repeat": false,
     "meaning": "additions"
    },
    {
     "name": "payload",
     "type": "bytes",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the application's bytes, to the end of the frame"
    }
   ]
  },
  "2": {
   "name": "CLOSE",
   "meaning": "the session ended after this sequence",
   "value": "final sequence",
   "flags": [],
   "fields": [
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner, whoever writes"
    },
    {
     "name": "recipient",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the recipient concerned; FFFF: none"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the session"
    },
    {
     "name": "value",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "see the frame"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0: none"
    }
   ]
  },
  "3": {
   "name": "FAIL",
   "meaning": "the session ended for one recipient, or for all",
   "value": "first sequence never delivered",
   "flags": [
    {
     "name": "UNCERTAIN",
     "bit": 1,
     "meaning": "some of them, from the first on, may have been delivered"
    }
   ],
   "fields": [
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner, whoever writes"
    },
    {
     "name": "recipient",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the recipient concerned; FFFF: none"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the session"
    },
    {
     "name": "value",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "see the frame"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0: none"
    }
   ]
  },
  "4": {
   "name": "REFUSE",
   "meaning": "a message was not admitted",
   "value": "sequence of the refused message",
   "flags": [],
   "fields": [
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner, whoever writes"
    },
    {
     "name": "recipient",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the recipient concerned; FFFF: none"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the session"
    },
    {
     "name": "value",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "see the frame"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0: none"
    }
   ]
  },
  "5": {
   "name": "RECEIPT",
   "meaning": "messages were read by the recipient's application",
   "value": "sequence up to which everything was read",
   "flags": [],
   "fields": [
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner, whoever writes"
    },
    {
     "name": "recipient",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the recipient concerned; FFFF: none"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the session"
    },
    {
     "name": "value",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "see the frame"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0: none"
    }
   ]
  },
  "6": {
   "name": "CREDIT",
   "meaning": "more may be written",
   "value": "absolute limit of bytes of the session's DATA frames",
   "flags": [],
   "fields": [
    {
     "name": "sender",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the session's owner, whoever writes"
    },
    {
     "name": "recipient",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slot of the recipient concerned; FFFF: none"
    },
    {
     "name": "session",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the session"
    },
    {
     "name": "value",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "see the frame"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0: none"
    }
   ]
  },
  "7": {
   "name": "ROSTER",
   "meaning": "who is in the call, and who joined or left",
   "value": null,
   "flags": [
    {
     "name": "SNAPSHOT",
     "bit": 1,
     "meaning": "part of the first, complete roster"
    },
    {
     "name": "MORE",
     "bit": 2,
     "meaning": "the epoch goes on in the next ROSTER"
    }
   ],
   "fields": [
    {
     "name": "epoch",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the roster's epoch after all entries of it"
    },
    {
     "name": "entries",
     "type": "block",
     "bits": null,
     "when": null,
     "block": "entry",
     "repeat": true,
     "meaning": "changes, in order"
    }
   ]
  },
  "65": {
   "name": "HELLO",
   "meaning": "opens or resumes a link",
   "value": null,
   "flags": [
    {
     "name": "RESUME",
     "bit": 1,
     "meaning": "go on with the link that the token names"
    },
    {
     "name": "REPLACE",
     "bit": 2,
     "meaning": "end older links of this identity and token first"
    }
   ],
   "fields": [
    {
     "name": "magic",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "43414C4C, \"CALL\""
    },
    {
     "name": "version",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "wire version, 1"
    },
    {
     "name": "features",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "offered features"
    },
    {
     "name": "token",
     "type": "bytes",
     "bits": 128,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "fresh: instance identifier; resume: the link's token"
    },
    {
     "name": "attempt",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "1 and up, strictly growing in a link's life"
    },
    {
     "name": "received",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "counted frames received; fresh: 0"
    },
    {
     "name": "window",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "first limit of every session towards the writer"
    },
    {
     "name": "largest_message",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "largest message that the writer takes"
    },
    {
     "name": "id_length",
     "type": "u8",
     "bits": 8,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of id; 0: whatever admission says"
    },
    {
     "name": "id",
     "type": "utf8",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "identifier of the participant, as it would like to be known"
    }
   ]
  },
  "66": {
   "name": "WELCOME",
   "meaning": "answers HELLO",
   "value": null,
   "flags": [],
   "fields": [
    {
     "name": "version",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "wire version, 1"
    },
    {
     "name": "slot",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the initiator's slot"
    },
    {
     "name": "features",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "features of both sides"
    },
    {
     "name": "token",
     "type": "bytes",
     "bits": 128,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the link's token"
    },
    {
     "name": "attempt",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the attempt that this answers"
    },
    {
     "name": "received",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "counted frames received"
    },
    {
     "name": "window",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "first limit of every session towards the writer"
    },
    {
     "name": "largest_message",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "largest message of the call"
    },
    {
     "name": "resume_ms",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "milliseconds that a lost transport may take to come back; 0: no resume"
    },
    {
     "name": "id_length",
     "type": "u8",
     "bits": 8,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of id"
    },
    {
     "name": "id",
     "type": "utf8",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the admitted identifier"
    }
   ]
  },
  "67": {
   "name": "ACK",
   "meaning": "counted frames were received",
   "value": null,
   "flags": [],
   "fields": [
    {
     "name": "received",
     "type": "u64",
     "bits": 64,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "how many, since the link began"
    }
   ]
  },
  "68": {
   "name": "BYE",
   "meaning": "the link ends",
   "value": null,
   "flags": [],
   "fields": [
    {
     "name": "code",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "why, an error code"
    },
    {
     "name": "text",
     "type": "utf8",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "for people, at most 255 bytes"
    }
   ]
  }
 },
 "blocks": {
  "fragment": {
   "size": 8,
   "fields": [
    {
     "name": "last",
     "type": "u1",
     "bits": 1,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the last fragment"
    },
    {
     "name": "abort",
     "type": "u1",
     "bits": 1,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the message is given up"
    },
    {
     "name": "index",
     "type": "u30",
     "bits": 30,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "number of the fragment, from 0"
    },
    {
     "name": "total",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of the whole message; 0: a stream"
    }
   ]
  },
  "recipients": {
   "size": null,
   "fields": [
    {
     "name": "epoch",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "roster epoch under which the words are read"
    },
    {
     "name": "except",
     "type": "u1",
     "bits": 1,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "everyone but those named"
    },
    {
     "name": "count",
     "type": "u15",
     "bits": 15,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "number of words"
    },
    {
     "name": "words",
     "type": "block",
     "bits": null,
     "when": null,
     "block": "word",
     "repeat": true,
     "meaning": "ascending by index"
    }
   ]
  },
  "word": {
   "size": 6,
   "fields": [
    {
     "name": "index",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "slots 32 * index and up"
    },
    {
     "name": "bits",
     "type": "u32",
     "bits": 32,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bit b: slot 32 * index + b; not zero"
    }
   ]
  },
  "extensions": {
   "size": null,
   "fields": [
    {
     "name": "size",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of all extensions that follow"
    },
    {
     "name": "extensions",
     "type": "block",
     "bits": null,
     "when": null,
     "block": "extension",
     "repeat": true,
     "meaning": "ascending by type"
    }
   ]
  },
  "extension": {
   "size": null,
   "fields": [
    {
     "name": "must_understand",
     "type": "u1",
     "bits": 1,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the final recipient has to understand it"
    },
    {
     "name": "type",
     "type": "u15",
     "bits": 15,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "extension type"
    },
    {
     "name": "length",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of value"
    },
    {
     "name": "value",
     "type": "bytes",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "as the extension says"
    }
   ]
  },
  "entry": {
   "size": null,
   "fields": [
    {
     "name": "op",
     "type": "u8",
     "bits": 8,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "1 JOIN, 2 LEAVE, 3 SUSPENDED, 4 RESUMED"
    },
    {
     "name": "id_length",
     "type": "u8",
     "bits": 8,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "bytes of id; 0 unless JOIN"
    },
    {
     "name": "slot",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "the endpoint's slot"
    },
    {
     "name": "reason",
     "type": "u16",
     "bits": 16,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "an error code; 0 in JOIN and RESUMED"
    },
    {
     "name": "id",
     "type": "utf8",
     "bits": null,
     "when": null,
     "block": null,
     "repeat": false,
     "meaning": "identifier of the participant"
    }
   ]
  }
 },
 "ops": {
  "1": "JOIN",
  "2": "LEAVE",
  "3": "SUSPENDED",
  "4": "RESUMED"
 },
 "errors": {
  "0": {
   "name": "NONE",
   "meaning": "no error: an ordinary end"
  },
  "1": {
   "name": "PROTOCOL",
   "meaning": "the peer broke a rule that has no code of its own, such as an impossible count in ACK"
  },
  "2": {
   "name": "PACKET_SIZE",
   "meaning": "a packet is empty or larger than its lane allows"
  },
  "3": {
   "name": "FRAME_LENGTH",
   "meaning": "a frame's length is under 4 or beyond the packet, or fewer than 4 bytes are left"
  },
  "4": {
   "name": "UNKNOWN_TYPE",
   "meaning": "a frame type is unknown and may not be skipped"
  },
  "5": {
   "name": "HANDSHAKE",
   "meaning": "a frame does not fit the link's state or the writer's role"
  },
  "6": {
   "name": "WRONG_LANE",
   "meaning": "a frame came on a lane that does not carry it"
  },
  "7": {
   "name": "FRAME_FORMAT",
   "meaning": "a frame's flags, fields or blocks break its format"
  },
  "8": {
   "name": "SLOT",
   "meaning": "a frame names a slot that its writer may not name"
  },
  "9": {
   "name": "EPOCH",
   "meaning": "a roster epoch is newer than what was written, or goes back"
  },
  "10": {
   "name": "FLOW_CONTROL",
   "meaning": "more bytes of a session than its limit"
  },
  "11": {
   "name": "VERSION",
   "meaning": "the wire version is not supported"
  },
  "12": {
   "name": "TOO_SMALL",
   "meaning": "the endpoint takes smaller messages than the call allows"
  },
  "13": {
   "name": "RESUME_UNKNOWN",
   "meaning": "no link is known by this token"
  },
  "14": {
   "name": "RESUME_STALE",
   "meaning": "the attempt number did not grow; the link itself goes on"
  },
  "15": {
   "name": "RESUME_MISMATCH",
   "meaning": "the counts of the two sides do not fit together"
  },
  "16": {
   "name": "TIMEOUT",
   "meaning": "nothing arrived in time"
  },
  "17": {
   "name": "RATE",
   "meaning": "more control frames, or offers, than the limit"
  },
  "18": {
   "name": "NOT_ADMITTED",
   "meaning": "admission says no"
  },
  "19": {
   "name": "CALL_FULL",
   "meaning": "the call has no place left"
  },
  "20": {
   "name": "REPLACED",
   "meaning": "a newer link of the same endpoint took this one's place"
  },
  "21": {
   "name": "GOING_AWAY",
   "meaning": "the relay stops; as a message's reason: it takes no new messages"
  },
  "22": {
   "name": "INTERNAL",
   "meaning": "an implementation failed; a bug"
  },
  "23": {
   "name": "LINK_LOST",
   "meaning": "the link died: its transport was lost for longer than it may be"
  },
  "32": {
   "name": "SESSION_MISMATCH",
   "meaning": "channel, reliability or priority of a session changed"
  },
  "33": {
   "name": "SEQUENCE",
   "meaning": "a Reliable sequence went back, or a fragment is missing"
  },
  "34": {
   "name": "FRAGMENT",
   "meaning": "fragments contradict each other or the message's total"
  },
  "35": {
   "name": "TOO_MANY_SESSIONS",
   "meaning": "more sessions than the limit, or opened too fast"
  },
  "36": {
   "name": "OVERRUN",
   "meaning": "a recipient read too slowly for too long"
  },
  "37": {
   "name": "MEMORY",
   "meaning": "a memory limit was reached and this session held the most"
  },
  "38": {
   "name": "CLOSED",
   "meaning": "the recipient's application closed its receiver"
  },
  "39": {
   "name": "LEFT",
   "meaning": "the participant left the call"
  },
  "40": {
   "name": "LOST",
   "meaning": "the participant's link died"
  },
  "41": {
   "name": "TOO_LARGE",
   "meaning": "a message or stream is larger than the recipient takes"
  },
  "42": {
   "name": "EXTENSION",
   "meaning": "the recipient does not understand an extension that it has to"
  },
  "43": {
   "name": "IDLE",
   "meaning": "the receiver object was idle; the session lives on"
  },
  "48": {
   "name": "UNKNOWN_RECIPIENT",
   "meaning": "a named recipient is not in the call, or has left it"
  },
  "49": {
   "name": "RECIPIENT_FAILED",
   "meaning": "a named recipient failed earlier in this session; a new sender starts anew"
  },
  "50": {
   "name": "MESSAGE_TOO_LARGE",
   "meaning": "the message is larger than the limit for its kind"
  },
  "51": {
   "name": "POLICY",
   "meaning": "the relay's policy forbids it"
  },
  "52": {
   "name": "ABORTED",
   "meaning": "the sender gave the message up half way"
  },
  "53": {
   "name": "CANCELLED",
   "meaning": "the caller took the message back"
  },
  "54": {
   "name": "DEADLINE",
   "meaning": "the caller's time ran out"
  },
  "64": {
   "name": "INVALID_ARGUMENT",
   "meaning": "a wrong type, an unknown option or a value out of range"
  },
  "65": {
   "name": "NOT_JOINED",
   "meaning": "the call was not joined yet, or was left"
  },
  "66": {
   "name": "SENDER_CLOSED",
   "meaning": "the sender was closed by its own application"
  },
  "67": {
   "name": "SEQUENCE_EXHAUSTED",
   "meaning": "the session used its last sequence number; open a new sender"
  },
  "68": {
   "name": "TOO_MANY_RECIPIENTS",
   "meaning": "a Lossy bitmap would need more than 64 words"
  },
  "69": {
   "name": "WOULD_BLOCK",
   "meaning": "the sender's buffer is full; wait until it is writable"
  },
  "70": {
   "name": "NO_CHANNEL",
   "meaning": "no channel is free"
  },
  "71": {
   "name": "CUSTODY_LOST",
   "meaning": "an accepted message's fate is unknown: the link that carried it died"
  }
 },
 "extensions": {
  "1": "content-type",
  "2": "name",
  "3": "lifetime",
  "4": "application-time",
  "5": "end-to-end-encryption"
 }
};
