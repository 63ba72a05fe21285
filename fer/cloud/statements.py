"""Statements of IAM policies."""

import re
from typing import Any

from fer.cloud.account import Account

PRIVACY_CHECK = ("s3:GetBucketPublicAccessBlock", "s3:GetBucketPolicyStatus", "s3:GetBucketAcl")


def build_statement(sid: str, actions: list[str], resource: str | list[str]) -> dict[str, Any]:
    """Return a statement that allows actions; those without a service are SageMaker's."""
    qualified = [action if ":" in action else f"sagemaker:{action}" for action in actions]
    return {"Sid": sid, "Effect": "Allow", "Action": qualified, "Resource": resource}


def build_key_statement(sid: str, actions: list[str], account: Account, key: str) -> dict[str, Any]:
    """Return a statement about a KMS key, named by its id, its ARN or an alias.

    Rights are given on keys, never on an alias; a condition keeps them to the key that the alias stands for.
    """
    alias = key[key.index("alias/") :] if re.match(r"(arn:.*:)?alias/", key) else None
    if alias is None:
        arn = key if key.startswith("arn:") else f"{account.keys}{key}"
        return build_statement(sid, actions, arn)
    prefix = key.removesuffix(alias) + "key/" if key.startswith("arn:") else account.keys
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    return {**build_statement(sid, actions, f"{prefix}*"), "Condition": condition}
