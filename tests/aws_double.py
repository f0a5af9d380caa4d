"""AWS IoT Core's Jobs and Shadow as their documentation says they answer: states, versions, rejections, notifications.

`Services.handle` takes a message and gives those that follow; `serve` puts that on a real broker.
"""

import copy
import json
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

TERMINAL = {"SUCCEEDED", "FAILED", "REJECTED", "CANCELED", "TIMED_OUT", "REMOVED"}


class Services:
    def __init__(self, thing="kerb-1"):
        self.thing = thing
        self.jobs = {}
        self.shadows = {}
        self.heard = []
        self.interfere = []  # called before the next update is judged: somebody else was faster

    # Jobs

    def create_job(self, job_id, document):
        self.jobs[job_id] = {
            "jobId": job_id, "status": "QUEUED", "versionNumber": 1, "jobDocument": document,
            "statusDetails": {}, "history": [],
        }  # fmt: skip
        return self._notify_next()

    def cancel_job(self, job_id):
        job = self.jobs[job_id]
        job["status"], job["versionNumber"] = "CANCELED", job["versionNumber"] + 1
        return self._notify_next()

    def _pending(self):
        order = {"IN_PROGRESS": 0, "QUEUED": 1}
        return sorted((j for j in self.jobs.values() if j["status"] in order), key=lambda j: order[j["status"]])

    def _execution(self, job):
        keys = ("jobId", "status", "versionNumber", "jobDocument", "statusDetails")
        return {
            **{k: copy.deepcopy(job[k]) for k in keys},
            "thingName": self.thing,
            "queuedAt": 1,
            "executionNumber": 1,
        }

    def _notify_next(self):
        pending = self._pending()
        body = {"timestamp": int(time.time())}
        if pending:
            body["execution"] = self._execution(pending[0])
        return [(f"$aws/things/{self.thing}/jobs/notify-next", body)]

    def _start_next(self, body):
        pending = self._pending()
        answer = {}
        if pending:
            job = pending[0]
            if job["status"] == "QUEUED":
                job["status"], job["versionNumber"] = "IN_PROGRESS", job["versionNumber"] + 1
            job["statusDetails"] = body.get("statusDetails", {})
            answer = {"execution": self._execution(job)}
        return "accepted", answer, []

    def _update_job(self, job_id, body):
        job = self.jobs.get(job_id)
        if job is None:
            return "rejected", {"code": "ResourceNotFound", "message": "no such job execution"}, []
        state = {"executionState": {k: job[k] for k in ("status", "statusDetails", "versionNumber")}}
        if job["status"] in TERMINAL:
            text = f"cannot go from {job['status']} to {body.get('status')}"
            return "rejected", {"code": "InvalidStateTransition", "message": text, **state}, []
        if "expectedVersion" in body and int(body["expectedVersion"]) != job["versionNumber"]:
            return "rejected", {"code": "VersionMismatch", "message": "another version", **state}, []
        details = body.get("statusDetails", {})
        good = all(isinstance(k, str) and isinstance(v, str) and 0 < len(v) <= 1024 for k, v in details.items())
        if (
            body.get("status") not in {"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"}
            or not good
            or len(details) > 10
        ):
            return "rejected", {"code": "InvalidRequest", "message": "status or statusDetails"}, []
        job["status"], job["statusDetails"] = body["status"], details
        job["versionNumber"] += 1
        job["history"].append((body["status"], details))
        return "accepted", {}, self._notify_next() if job["status"] in TERMINAL else []

    # Shadows

    def desire(self, name, desired):
        """By somebody else: whoever listens hears that it was accepted, and the delta if there is one."""
        accepted, more = self._change(name, {"state": {"desired": desired}})
        return [(f"$aws/things/{self.thing}/shadow/name/{name}/update/accepted", accepted), *more]

    def shadow(self, name):
        return self.shadows.setdefault(name, {"state": {"desired": {}, "reported": {}}, "version": 0})

    def _change(self, name, body):
        document = self.shadow(name)
        for part, change in body["state"].items():
            _merge(document["state"].setdefault(part, {}), change or {})
        document["version"] += 1
        base = f"$aws/things/{self.thing}/shadow/name/{name}"
        delta = _delta(document["state"]["desired"], document["state"]["reported"])
        more = [(f"{base}/update/delta", {"state": delta, "version": document["version"]})] if delta else []
        return {"state": body["state"], "version": document["version"], "timestamp": 1}, more

    def _shadow_request(self, name, operation, body, size):
        if operation == "get":
            document = self.shadows.get(name)
            if document is None:
                return "rejected", {"code": 404, "message": f"No shadow exists with name: '{name}'"}, []
            delta = _delta(document["state"]["desired"], document["state"]["reported"])
            state = {**document["state"], **({"delta": delta} if delta else {})}
            return "accepted", {"state": copy.deepcopy(state), "version": document["version"]}, []
        if size > 8 * 1024:
            return "rejected", {"code": 413, "message": "The payload exceeds the maximum size allowed"}, []
        if not isinstance(body.get("state"), dict):
            return "rejected", {"code": 400, "message": "Missing required node: state"}, []
        if "version" in body and body["version"] != self.shadow(name)["version"]:
            return "rejected", {"code": 409, "message": "Version conflict"}, []
        accepted, more = self._change(name, body)
        return "accepted", accepted, more

    # Both

    def handle(self, topic, payload):
        """What follows a message of the thing: topics and bodies."""
        levels = topic.removeprefix(f"$aws/things/{self.thing}/").split("/")
        if levels[-1] in {"accepted", "rejected", "delta", "notify-next"}:
            return []
        self.heard.append((topic, len(payload)))
        try:
            body = json.loads(payload or b"{}")
        except ValueError:
            return [(f"{topic}/rejected", {"code": "InvalidJson", "message": "no JSON"})]
        disturbed = levels[-1] == "update" and self.interfere
        more_before = (self.interfere.pop(0)() or []) if disturbed else []
        if levels == ["jobs", "start-next"]:
            verdict, answer, more = self._start_next(body)
        elif levels[0] == "jobs" and levels[-1] == "update":
            verdict, answer, more = self._update_job(levels[1], body)
        elif levels[:2] == ["shadow", "name"]:
            verdict, answer, more = self._shadow_request(levels[2], levels[3], body, len(payload))
        else:
            return []
        if "clientToken" in body:
            answer = {**answer, "clientToken": body["clientToken"]}
        return [*more_before, (f"{topic}/{verdict}", answer), *more]


def _merge(into, change):
    """Deep, as a shadow does it: null takes a key out."""
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            node = into.get(key)
            into[key] = node if isinstance(node, dict) else {}
            _merge(into[key], value)
        else:
            into[key] = value


def _delta(desired, reported):
    found = {}
    for key, value in desired.items():
        if isinstance(value, dict) and isinstance(reported.get(key), dict):
            inner = _delta(value, reported[key])
            if inner:
                found[key] = inner
        elif reported.get(key) != value:
            found[key] = copy.deepcopy(value)
    return found


class Cloud:
    """The services on a real broker. `do` changes something there and publishes what follows."""

    def __init__(self, port, services):
        self.services = services
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"$aws/things/{services.thing}/#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def do(self, action, *arguments):
        with self._lock:
            self._send(action(*arguments))

    def _heard(self, _client, _data, message):
        with self._lock:
            self._send(self.services.handle(message.topic, message.payload))

    def _send(self, follows):
        for topic, body in follows:
            self._client.publish(topic, json.dumps(body), 1)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
        del self._client
