"""S3: encryption, the check that a bucket is not public, and deletion of folders."""

from fer.aws.client import AwsClient, CloudError

MAX_DELETED = 1000  # objects in one request

PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
PUBLIC_GRANTEES = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "everybody",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "every AWS user",
}
MISSING_BUCKET_CODES = {"404", "NoSuchBucket"}


def build_encryption_args(kms_key: str | None) -> dict[str, str]:
    """Return the arguments of PutObject that encrypt an object with this KMS key, or with S3's own key."""
    if kms_key is None:
        return {"ServerSideEncryption": "AES256"}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}


def check_bucket_private(client: AwsClient, bucket: str, named: str | None = None) -> None:
    """Refuse a bucket from which faces or models could leak.

    Args:
        client: Client for AWS.
        bucket: Name of the bucket.
        named: The key of the configuration with its value, which named it; None is ``aws.bucket``.

    Raises:
        CloudError: The bucket is public, does not exist, or this cannot be found out.
    """
    parameters = {"Bucket": bucket}
    named = named or f"aws.bucket={bucket}"
    response = _request_or_empty(
        client, "get_public_access_block", parameters, "NoSuchPublicAccessBlockConfiguration", named
    )
    if client.dry_run or all(
        response.get("PublicAccessBlockConfiguration", {}).get(block) for block in PUBLIC_ACCESS_BLOCKS
    ):
        return
    policy = _request_or_empty(client, "get_bucket_policy_status", parameters, "NoSuchBucketPolicy", named)
    if policy.get("PolicyStatus", {}).get("IsPublic"):
        raise _build_public_error(named, "its policy")
    for grant in client.request("s3", "get_bucket_acl", parameters).get("Grants", []):
        if grantees := PUBLIC_GRANTEES.get(grant["Grantee"].get("URI", "")):
            raise _build_public_error(named, f"its access list ({grant['Permission']} for {grantees})")


def _request_or_empty(
    client: AwsClient, operation: str, parameters: dict[str, str], absent_code: str, named: str
) -> dict[str, dict[str, bool]]:
    """Send a request about a bucket; the answer is empty where the bucket has no such setting. Raises CloudError."""
    try:
        return client.request("s3", operation, parameters)
    except CloudError as error:
        if error.code == absent_code:
            return {}
        if error.code in MISSING_BUCKET_CODES:
            raise CloudError(
                f"{named}: there is no such bucket; create it first, or name another",
                error.code,
            ) from None
        raise


def _build_public_error(named: str, cause: str) -> CloudError:
    return CloudError(
        f"{named}: is open to the public through {cause}; block public access to it "
        "(aws s3api put-public-access-block), or name another"
    )


def delete_folder(client: AwsClient, bucket: str, prefix: str) -> int:
    """Delete all objects whose keys begin with ``prefix``; returns how many.

    Raises:
        CloudError: AWS refused, or kept some of them.
    """
    keys = [f"{prefix}…"] if client.dry_run else []
    keys += client.list_object_sizes(bucket, prefix)
    for start in range(0, len(keys), MAX_DELETED):
        objects = [{"Key": key} for key in keys[start : start + MAX_DELETED]]
        response = client.request(
            "s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": objects, "Quiet": True}}
        )
        if errors := response.get("Errors"):
            raise CloudError(
                f"s3:DeleteObjects: {len(errors)} objects below s3://{bucket}/{prefix} stay "
                f"({errors[0].get('Key')}: {errors[0].get('Message')})",
                str(errors[0].get("Code", "")),
            )
    return len(keys)
