"""The store on DynamoDB: one table, one transaction a change."""

from appointments_service.store_dynamodb.adapter import DynamoDBStore
from appointments_service.store_dynamodb.table import create_table

__all__ = ["DynamoDBStore", "create_table"]
