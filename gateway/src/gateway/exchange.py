"""One request and its answer."""

import asyncio
from dataclasses import dataclass, field

from gateway.answers import plain_answer
from gateway.bodies import BadFramingError, Body, UntilClosed
from gateway.connections import Connection, IdleTimer, relay
from gateway.errors import (
    BadResponseError,
    ClientGoneError,
    ConnectionClosedError,
    DrainTimeoutError,
    IdleTimeoutError,
    RefusedError,
)
from gateway.heads import RequestHead, ResponseHead, known_method
from gateway.messages import read_response
from gateway.targets import Target, TargetGroup
from gateway.tracing import request_id, trace_header, trace_id


@dataclass(slots=True)
class ServerState:
    """What all exchanges of a listener share."""

    closing: bool = False
    waiting: set[Connection] = field(default_factory=set)  # clients between two requests
    tunnels: set[Connection] = field(default_factory=set)  # clients that switched protocols


class Exchange:
    """Passes one request to a target and the answer back.

    Nothing is sent twice: only while a target takes no connection, so that nothing can have been
    sent, is another one tried.
    """

    __slots__ = (
        "_answered_id",
        "_body",
        "_client",
        "_request",
        "_responding",
        "_server",
        "_timer",
        "_trace",
        "status",
        "target",
        "target_status",
        "traceparent",
    )

    def __init__(
        self, client: Connection, request: RequestHead, timer: IdleTimer, server: ServerState
    ) -> None:
        """Prepare to answer a request whose head has been read."""
        self._client = client
        self._request = request
        self._timer = timer
        self._server = server
        self._body: Body = request.body()
        self._responding = False  # the head of the final answer is on its way to the client
        self._trace = trace_header(request.trace)
        self._answered_id = b""  # X-Request-Id of the target's answer
        self.status = 500  # stays where a defect of ours ends it without an answer
        self.traceparent = ""  # that the target gets in place of the client's, where there is one
        self.target: Target | None = None
        self.target_status: int | None = None

    @property
    def own(self) -> bool:
        """Whether the gateway answered by itself, not the target."""
        return self.status != self.target_status

    @property
    def request_id(self) -> str | None:
        """The id that the target's answer has, or else the request."""
        return request_id(self._answered_id, self._request.request_id)

    @property
    def given_traceparent(self) -> str:
        """The client's, whatever it is."""
        return self._request.traceparent.decode("latin-1")

    @property
    def trace_id(self) -> str | None:
        """The id of the trace that the target is told to be part of."""
        return trace_id(self.traceparent or self.given_traceparent, self._trace)

    @property
    def method(self) -> str:
        """The method, of a few known ones."""
        return known_method(self._request.method)

    def answer(self, status: int) -> bool:
        """Answer without a target; returns whether another request may follow."""
        self.status = status
        if self._body.done:
            rest = self._client.buffer
        else:
            try:
                _, rest = self._body.feed(self._client.take())
            except BadFramingError:
                rest = b""
        self._client.buffer = rest
        keep_alive = self._body.done and self._may_keep_alive()
        if not self._body.done:
            self._client.discard()
        self._client.write(self._plain(status, keep_alive=keep_alive))
        return keep_alive

    async def run(self, group: TargetGroup) -> bool:
        """Have a target of this group answer; returns whether another request may follow."""
        try:
            target, upstream = await self._connect(group)
        except RefusedError as refused:
            return self.answer(refused.status)
        except (ConnectionClosedError, IdleTimeoutError) as failure:
            self.status = self._give_up(failure)
            return False
        self.target = target
        client, reusable = self._client, False
        client.on_lost = lambda: upstream.fail(ClientGoneError())
        self._timer.upstream = upstream
        upload: asyncio.Task[None] | None = None
        try:
            if client.failure is not None:
                raise client.failure
            upload = self._send_request(target, upstream)
            response = await self._receive_head(upstream)
            if response.status == 101:
                await self._tunnel(upstream, response)
                return False
            keep_alive, reusable = await self._send_response(upstream, response)
            return keep_alive
        except Exception as failure:
            self.status = self._give_up(failure)
            return False
        finally:
            client.on_lost = None
            self._timer.upstream = None
            if upload is not None and not upload.done():
                upload.cancel()
                await asyncio.wait([upload])
            if not self._body.done:
                client.discard()
            target.release(upstream, reusable=reusable)

    async def _connect(self, group: TargetGroup) -> tuple[Target, Connection]:
        """Choose a target that takes the connection.

        Raises:
            RefusedError: 502, every target refused it; 503, there is none; 504, none took it and
                at least one did not answer in time.
            ConnectionClosedError: the client left meanwhile.
            IdleTimeoutError: it took longer than the idle timeout.
        """
        failed: dict[Target, int] = {}
        while True:
            target = group.choose(failed)
            try:
                return target, await target.acquire()
            except TimeoutError:
                failed[target] = 504
                group.connect_failures["timeout"] += 1
            except OSError:
                failed[target] = 502
                group.connect_failures["refused"] += 1
            if self._client.failure is not None:
                raise self._client.failure

    def _send_request(self, target: Target, upstream: Connection) -> asyncio.Task[None] | None:
        """Send the head with what has come of the body; a task sends what is still to come.

        Raises:
            BadFramingError: the body is not well formed.
        """
        client, request = self._client, self._request
        passed = b""
        if not self._body.done and client.buffer:
            passed, client.buffer = self._body.feed(client.take())
        head = request.for_target(
            client=client.peer.encode(),
            port=b"%d" % client.local_port,
            trace=self._trace,
            traceparent=self.traceparent.encode(),
            netloc=target.netloc,
        )
        upstream.write(head + passed)
        return None if self._body.done else asyncio.create_task(self._upload(upstream))

    async def _upload(self, upstream: Connection) -> None:
        try:
            await relay(self._client, upstream, self._body)
        except BadFramingError as error:
            upstream.fail(error)  # wakes `run`, which waits for the answer
        except (ConnectionError, IdleTimeoutError, DrainTimeoutError):
            # `run` waits on the same connections and sees for itself what became of them. It may
            # even still find an answer: a target can refuse a body before all of it has come.
            return

    async def _receive_head(self, upstream: Connection) -> ResponseHead:
        """Read the final answer's head, passing interim ones (1xx) on.

        Raises:
            BadResponseError: what came is no answer to this request.
        """
        while True:
            response = await read_response(upstream)
            if response.status == 101 and self._request.upgrade is None:
                raise BadResponseError("switched protocols without being asked")
            if response.status >= 200 or response.status == 101:
                self.status = self.target_status = response.status
                self._answered_id = response.request_id
                return response
            if not self._request.old:
                self._client.write(response.for_client(old=False, keep_alive=True))

    async def _send_response(
        self, upstream: Connection, response: ResponseHead
    ) -> tuple[bool, bool]:
        """Send the answer; returns whether to keep the client's connection and the target's."""
        request, client = self._request, self._client
        body = response.body(request.method, decode=request.old)
        uploaded = self._body.done
        # An answer of HTTP/1.0 whose length is not known ends with the connection.
        endless = isinstance(body, UntilClosed) or (request.old and response.chunked)
        keep_alive = uploaded and not endless and self._may_keep_alive()
        passed = b""
        if not body.done and upstream.buffer:
            try:
                passed, upstream.buffer = body.feed(upstream.take())
            except BadFramingError as error:
                raise BadResponseError from error
        self._responding = True
        client.write(response.for_client(old=request.old, keep_alive=keep_alive) + passed)
        if not body.done:
            await client.drain()
            await relay(upstream, client, body)
        reusable = uploaded and response.keep_alive and not request.ambiguous
        return keep_alive, reusable and not isinstance(body, UntilClosed)

    async def _tunnel(self, upstream: Connection, response: ResponseHead) -> None:
        """Pass bytes both ways until one side closes, which ends the tunnel."""
        client = self._client
        self._responding = True
        client.write(response.for_client(old=False, keep_alive=True))
        self._server.tunnels.add(client)
        there = asyncio.create_task(relay(client, upstream, UntilClosed()))
        back = asyncio.create_task(relay(upstream, client, UntilClosed()))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._server.tunnels.discard(client)
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        # What had come from the side that closed, and was not passed on yet.
        upstream.write(client.take())
        client.write(upstream.take())

    def _give_up(self, failure: Exception) -> int:
        """Say what became of a failed exchange, answering it where nothing was answered yet."""
        client = self._client
        if isinstance(client.failure, ConnectionClosedError):
            client.abort()
            return self.status if self._responding else 460
        if self._responding:
            client.abort()  # a cut-off answer must not look like a whole one
            return self.status
        if isinstance(failure, BadFramingError):
            status = 400
        elif isinstance(failure, IdleTimeoutError):
            # Idle for want of the client's body, or of the target's answer.
            status = 504 if self._body.done else 408
        elif isinstance(failure, BadResponseError | ConnectionClosedError | DrainTimeoutError):
            status = 502
        else:
            raise failure
        client.discard()
        client.write(self._plain(status, keep_alive=False))
        return status

    def _plain(self, status: int, *, keep_alive: bool) -> bytes:
        request = self._request
        return plain_answer(
            status, head_only=request.method == b"HEAD", old=request.old, keep_alive=keep_alive
        )

    def _may_keep_alive(self) -> bool:
        request = self._request
        return request.keep_alive and not request.ambiguous and not self._server.closing
