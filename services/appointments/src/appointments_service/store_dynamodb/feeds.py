"""Calendar feeds in the table: one item by the secret's digest, and one by its owner.

Both change in one transaction, so the first is there exactly while it is the owner's current one,
and reading a feed takes no look at the second.
"""

from datetime import datetime

from appointments_service.domain.feeds import Feed
from appointments_service.store_dynamodb import items
from appointments_service.store_dynamodb.calls import OnTable, Patience, unexpected
from appointments_service.store_dynamodb.items import Item
from servicekit.aws import classify_codes

_SORT = "feed"


def _by_digest(digest: str) -> Item:
    return items.key(f"feed#{digest}", _SORT)


def _by_owner(owner_id: str) -> Item:
    # Not under `caller#`, where all is deleted that an erasure finds.
    return items.key(f"owner#{owner_id}", _SORT)


def _item(feed: Feed) -> Item:
    return {
        **_by_digest(feed.digest),
        "owner": {"S": feed.owner_id},
        "role": {"S": feed.role},
        "created_at": {"S": items.instant(feed.created_at)},
    }


class Feeds(OnTable):
    """The part of `AppointmentStore` that keeps calendar feeds."""

    async def read_feed(self, digest: str) -> Feed | None:
        """The feed whose secret has this digest, consistently."""
        answer = await self._call("get_item", Key=_by_digest(digest), ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return None
        return Feed(
            digest=digest,
            owner_id=item["owner"]["S"],
            role=item["role"]["S"],
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
        )

    async def replace_feed(self, feed: Feed) -> None:
        """Makes a feed its owner's only one."""
        await self._change_feed(feed.owner_id, feed)

    async def remove_feed(self, owner_id: str) -> None:
        """Ends the owner's feed, if there is one."""
        await self._change_feed(owner_id, None)

    async def _change_feed(self, owner_id: str, feed: Feed | None) -> None:
        patience = Patience(retried=self._retried)
        while True:
            answer = await self._call("get_item", Key=_by_owner(owner_id), ConsistentRead=True)
            former: str | None = answer["Item"]["digest"]["S"] if "Item" in answer else None
            if former == (feed.digest if feed is not None else None):
                return  # there was none; or an attempt whose answer was lost has taken effect
            codes = await self._transact(self._actions(owner_id, former, feed), patience)
            if codes is None:
                return
            # The owner has replaced it elsewhere meanwhile: once more, with what is there now.
            await patience.pause(classify_codes(codes), unexpected(codes))

    def _actions(self, owner_id: str, former: str | None, feed: Feed | None) -> list[Item]:
        guard: Item = {"TableName": self._table}
        if former is None:
            guard["ConditionExpression"] = "attribute_not_exists(user_id)"
        else:
            guard["ConditionExpression"] = "digest = :former"
            guard["ExpressionAttributeValues"] = {":former": {"S": former}}
        actions: list[Item] = []
        if feed is None:
            actions.append({"Delete": {**guard, "Key": _by_owner(owner_id)}})
        else:
            current = {**_by_owner(owner_id), "digest": {"S": feed.digest}}
            actions.append({"Put": {**guard, "Item": current}})
            actions.append({"Put": {"TableName": self._table, "Item": _item(feed)}})
        if former is not None:
            actions.append({"Delete": {"TableName": self._table, "Key": _by_digest(former)}})
        return actions
