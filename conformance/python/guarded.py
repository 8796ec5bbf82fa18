"""Credentials for services outside, had through the Taskcluster client and used with the libraries
of those services, all of them unmodified. The services are stand-ins: moto and azurite.

Reads what access.py reads, and MOTO_URL, AZURE_ACCOUNT, AZURE_BLOB_URL and AZURE_TABLE_URL. Prints
one line `ok <step>` a step; ends with a traceback at the first step that fails.
"""

import base64
import datetime
import os

# This release calls a function that Python 3.9 removed.
if not hasattr(base64, "encodestring"):
    base64.encodestring = base64.encodebytes

import boto3  # noqa: E402
import requests  # noqa: E402
import taskcluster  # noqa: E402
from azure.core.credentials import AzureSasCredential  # noqa: E402
from azure.core.exceptions import HttpResponseError  # noqa: E402
from azure.data.tables import TableClient  # noqa: E402
from azure.storage.blob import ContainerClient  # noqa: E402
from taskcluster.exceptions import TaskclusterRestFailure  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}
MOTO = os.environ["MOTO_URL"]
ACCOUNT = os.environ["AZURE_ACCOUNT"]
BUCKET = "conformance-bucket"


def auth(credentials, **more):
    chosen = dict({"rootUrl": ROOT_URL, "maxRetries": 0, "credentials": credentials}, **more)
    return taskcluster.Auth(chosen)


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def refused(status, call, *args, **more):
    try:
        call(*args, **more)
    except TaskclusterRestFailure as error:
        equal(error.status_code, status)
        return
    raise AssertionError("%s was allowed" % call)


def forbidden(call, *args, **more):
    """Azure itself refuses."""
    try:
        result = call(*args, **more)
        if hasattr(result, "__next__"):
            next(result)
    except HttpResponseError as error:
        assert error.status_code in (401, 403), error
        return
    raise AssertionError("%s was allowed" % call)


def seconds_left(time):
    end = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ")
    end = end.replace(tzinfo=datetime.timezone.utc)
    return (end - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def s3_with(given):
    return boto3.client(
        "s3",
        endpoint_url=MOTO,
        region_name="us-east-1",
        aws_access_key_id=given["accessKeyId"],
        aws_secret_access_key=given["secretAccessKey"],
        aws_session_token=given["sessionToken"],
    )


def buckets(root):
    administrator = boto3.client(
        "s3",
        endpoint_url=MOTO,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    administrator.create_bucket(Bucket=BUCKET)
    answer = root.awsS3Credentials("read-write", BUCKET, "some/where/")
    assert 3000 < seconds_left(answer["expires"]) < 50000, answer["expires"]
    s3 = s3_with(answer["credentials"])
    s3.put_object(Bucket=BUCKET, Key="some/where/file", Body=b"content")
    answer = root.awsS3Credentials("read-only", BUCKET, "some/where/")
    s3 = s3_with(answer["credentials"])
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="some/where/")
    equal([it["Key"] for it in listed["Contents"]], ["some/where/file"])
    equal(s3.get_object(Bucket=BUCKET, Key="some/where/file")["Body"].read(), b"content")
    ok("credentials for a bucket write, list and read")

    machine = root.awsS3Credentials(
        "read-only", BUCKET, "some/", query={"format": "iam-role-compat"}
    )
    equal((machine["Code"], machine["Type"]), ("Success", "AWS-HMAC"))
    given = {
        "accessKeyId": machine["AccessKeyId"],
        "secretAccessKey": machine["SecretAccessKey"],
        "sessionToken": machine["Token"],
    }
    s3_with(given).list_objects_v2(Bucket=BUCKET, Prefix="some/")
    ok("the same in the form that machines at Amazon know")

    refused(404, root.awsS3Credentials, "read-only", "another-bucket", "a")
    refused(400, root.awsS3Credentials, "read-only", BUCKET, "/a")
    reader = auth(ROOT, authorizedScopes=["auth:aws-s3:read-only:%s/mine/*" % BUCKET])
    reader.awsS3Credentials("read-only", BUCKET, "mine/x")
    refused(403, reader.awsS3Credentials, "read-write", BUCKET, "mine/x")
    refused(403, reader.awsS3Credentials, "read-only", BUCKET, "yours/x")
    ok("other buckets (404), a slash in front (400), levels and prefixes that one may not (403)")


def table(level, name, root):
    answer = root.azureTableSAS(ACCOUNT, name, level)
    left = seconds_left(answer["expiry"])
    assert 24 * 60 < left < 26 * 60, answer["expiry"]
    credential = AzureSasCredential(answer["sas"])
    return TableClient(os.environ["AZURE_TABLE_URL"], name, credential=credential)


def tables(root):
    equal(root.azureAccounts()["accounts"], [ACCOUNT])
    equal(root.azureTables(ACCOUNT)["tables"], [])
    writer = table("read-write", "Conformance", root)
    equal(root.azureTables(ACCOUNT)["tables"], ["Conformance"])
    table("read-write", "Conformance", root)
    entity = {"PartitionKey": "p", "RowKey": "r", "text": "one"}
    writer.create_entity(entity)
    writer.update_entity(dict(entity, text="two"))
    reader = table("read-only", "Conformance", root)
    equal(reader.get_entity("p", "r")["text"], "two")
    equal([it["RowKey"] for it in reader.list_entities()], ["r"])
    forbidden(reader.create_entity, dict(entity, RowKey="s"))
    forbidden(reader.delete_entity, "p", "r")
    table("read-write", "Another", root)
    sas = AzureSasCredential(root.azureTableSAS(ACCOUNT, "Conformance", "read-write")["sas"])
    elsewhere = TableClient(os.environ["AZURE_TABLE_URL"], "Another", credential=sas)
    forbidden(elsewhere.create_entity, entity)
    writer.delete_entity("p", "r")
    equal(sorted(root.azureTables(ACCOUNT)["tables"]), ["Another", "Conformance"])
    ok("signatures for a table: made, written, read; readers do not write; no other table")
    refused(404, root.azureTableSAS, "nosuchaccount", "Conformance", "read-only")
    refused(400, root.azureTableSAS, ACCOUNT, "Conformance", "read-most")


def container(level, name, root):
    answer = root.azureContainerSAS(ACCOUNT, name, level)
    url = "%s/%s" % (os.environ["AZURE_BLOB_URL"], name)
    return ContainerClient.from_container_url(url + "?" + answer["sas"])


def containers(root):
    equal(root.azureContainers(ACCOUNT)["containers"], [])
    writer = container("read-write", "conformance", root)
    container("read-write", "conformance", root)
    equal(root.azureContainers(ACCOUNT)["containers"], ["conformance"])
    writer.upload_blob("a/b", b"content")
    reader = container("read-only", "conformance", root)
    equal([it.name for it in reader.list_blobs()], ["a/b"])
    equal(reader.download_blob("a/b").readall(), b"content")
    forbidden(reader.upload_blob, "c", b"more")
    forbidden(reader.delete_blob, "a/b")
    container("read-write", "another", root)
    sas = root.azureContainerSAS(ACCOUNT, "conformance", "read-write")["sas"]
    url = "%s/another?%s" % (os.environ["AZURE_BLOB_URL"], sas)
    forbidden(ContainerClient.from_container_url(url).upload_blob, "a", b"content")
    equal(requests.get("%s/conformance/a/b" % os.environ["AZURE_BLOB_URL"]).ok, False)
    writer.delete_blob("a/b")
    equal([it.name for it in reader.list_blobs()], [])
    ok("signatures for a container: made, written, listed, read; readers do not write; no other")


def main():
    root = auth(ROOT)
    buckets(root)
    tables(root)
    containers(root)
    print("done", flush=True)


if __name__ == "__main__":
    main()
