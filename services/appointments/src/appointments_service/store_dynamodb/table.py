"""The table's definition, and how it is made where there is none."""

from typing import Any

from botocore.exceptions import ClientError

BY_START = "by_start"
BY_DOCTOR = "by_doctor"
BY_DATE = "by_date"


def definition(table: str) -> dict[str, Any]:
    """What CreateTable takes."""

    def index(name: str, partition: str, sort: str) -> dict[str, Any]:
        return {
            "IndexName": name,
            "KeySchema": [
                {"AttributeName": partition, "KeyType": "HASH"},
                {"AttributeName": sort, "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }

    names = ("user_id", "appointment_id", "starts_at", "doctor_id", "tally_date")
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in names],
        "KeySchema": [
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": "appointment_id", "KeyType": "RANGE"},
        ],
        "LocalSecondaryIndexes": [index(BY_START, "user_id", "starts_at")],
        "GlobalSecondaryIndexes": [
            index(BY_DOCTOR, "doctor_id", "starts_at"),
            index(BY_DATE, "tally_date", "user_id"),
        ],
    }


async def create_table(client: Any, table: str) -> bool:
    """Makes the table and waits until it is active. False if it was there."""
    try:
        await client.create_table(**definition(table))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
        return False
    waiter = client.get_waiter("table_exists")
    await waiter.wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    await client.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    return True
