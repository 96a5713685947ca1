"""What holds data: buckets, tables, streams and parameters."""

from collections.abc import Mapping

from standin.kinds.kind import Kind, Put, from_properties

_BUCKET_PUTS = {
    "VersioningConfiguration": Put("PutBucketVersioning", "{Bucket: id, VersioningConfiguration: value}"),
    "BucketEncryption": Put(
        "PutBucketEncryption",
        "{Bucket: id, ServerSideEncryptionConfiguration: {Rules: value.ServerSideEncryptionConfiguration[].{"
        "ApplyServerSideEncryptionByDefault: ServerSideEncryptionByDefault, BucketKeyEnabled: BucketKeyEnabled}}}",
    ),
    "PublicAccessBlockConfiguration": Put(
        "PutPublicAccessBlock", "{Bucket: id, PublicAccessBlockConfiguration: value}"
    ),
    "OwnershipControls": Put("PutBucketOwnershipControls", "{Bucket: id, OwnershipControls: value}"),
    "NotificationConfiguration": Put(
        "PutBucketNotificationConfiguration",
        "contains(keys(value), 'EventBridgeConfiguration')"
        " && {Bucket: id, NotificationConfiguration: {EventBridgeConfiguration: `{}`}} || null",
    ),
    "LifecycleConfiguration": Put(
        "PutBucketLifecycleConfiguration",
        "{Bucket: id, LifecycleConfiguration: {Rules: value.Rules[].{ID: Id, Status: Status,"
        " Filter: TagFilters && {And: {Prefix: Prefix || '', Tags: TagFilters}} || {Prefix: Prefix || ''},"
        " Expiration: ExpirationInDays && {Days: ExpirationInDays}"
        " || ExpiredObjectDeleteMarker && {ExpiredObjectDeleteMarker: ExpiredObjectDeleteMarker},"
        " Transitions: Transitions[].{Days: TransitionInDays, StorageClass: StorageClass},"
        " NoncurrentVersionExpiration: NoncurrentVersionExpiration,"
        " AbortIncompleteMultipartUpload: AbortIncompleteMultipartUpload}}}",
    ),
    "LoggingConfiguration": Put(
        "PutBucketLogging",
        "{Bucket: id, BucketLoggingStatus: {LoggingEnabled: {TargetBucket: value.DestinationBucketName,"
        " TargetPrefix: value.LogFilePrefix}}}",
    ),
    "ReplicationConfiguration": Put(
        "PutBucketReplication",
        "{Bucket: id, ReplicationConfiguration: {Role: value.Role, Rules: value.Rules[].{ID: Id, Status: Status,"
        " Priority: Priority, Filter: Filter, DeleteMarkerReplication: DeleteMarkerReplication,"
        " SourceSelectionCriteria: SourceSelectionCriteria, Destination: {Bucket: Destination.Bucket,"
        " EncryptionConfiguration: {ReplicaKmsKeyID: Destination.EncryptionConfiguration.ReplicaKmsKeyID},"
        " Metrics: Destination.Metrics}}}}",
        undo="DeleteBucketReplication",
    ),
    "ObjectLockConfiguration": Put("PutObjectLockConfiguration", "{Bucket: id, ObjectLockConfiguration: value}"),
    "Tags": Put("PutBucketTagging", "{Bucket: id, Tagging: {TagSet: value}}"),
}


DATA: Mapping[str, Kind] = {
    "AWS::DynamoDB::Table": Kind(
        service="dynamodb",
        create="CreateTable",
        ref="properties.TableName",
        name="TableName",
        request="merge(properties, {SSESpecification: properties.SSESpecification"
        " && merge(properties.SSESpecification, {Enabled: properties.SSESpecification.SSEEnabled, SSEEnabled: null})})",
        identity=from_properties("TableName"),
        attributes={"Arn": "answer.TableDescription.TableArn"},
        read="DescribeTable",
        update="UpdateTable",
        delete="DeleteTable",
        puts={
            "PointInTimeRecoverySpecification": Put(
                "UpdateContinuousBackups", "{TableName: id, PointInTimeRecoverySpecification: value}"
            ),
            "TimeToLiveSpecification": Put("UpdateTimeToLive", "{TableName: id, TimeToLiveSpecification: value}"),
        },
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        service="firehose",
        create="CreateDeliveryStream",
        ref="properties.DeliveryStreamName",
        name="DeliveryStreamName",
        identity=from_properties("DeliveryStreamName"),
        attributes={"Arn": "answer.DeliveryStreamARN"},
        read="DescribeDeliveryStream",
        exists="DeliveryStreamDescription",
        delete="DeleteDeliveryStream",
        puts={
            "ExtendedS3DestinationConfiguration": Put(
                "UpdateDestination",
                "{DeliveryStreamName: id, CurrentDeliveryStreamVersionId: described.VersionId,"
                " DestinationId: described.Destinations[0].DestinationId, ExtendedS3DestinationUpdate: value}",
            )
        },
    ),
    "AWS::S3::Bucket": Kind(
        service="s3",
        create="CreateBucket",
        ref="properties.BucketName",
        name="BucketName",
        request="{Bucket: properties.BucketName, CreateBucketConfiguration: {LocationConstraint: region},"
        " ObjectLockEnabledForBucket: properties.ObjectLockEnabled}",
        identity={"Bucket": "properties.BucketName"},
        attributes={
            "Arn": "join('', ['arn:aws:s3:::', id])",
            "DomainName": "join('', [id, '.s3.amazonaws.com'])",
            "RegionalDomainName": "join('', [id, '.s3.', region, '.amazonaws.com'])",
        },
        read="HeadBucket",
        delete="DeleteBucket",
        puts=_BUCKET_PUTS,
    ),
    "AWS::S3::BucketPolicy": Kind(
        service="s3",
        create="PutBucketPolicy",
        ref="properties.Bucket",
        request="{Bucket: properties.Bucket, Policy: properties.PolicyDocument}",
        identity=from_properties("Bucket"),
        read="GetBucketPolicy",
        update="PutBucketPolicy",
        delete="DeleteBucketPolicy",
    ),
    "AWS::SSM::Parameter": Kind(
        service="ssm",
        create="PutParameter",
        ref="properties.Name",
        name="Name",
        identity=from_properties("Name"),
        attributes=from_properties("Type", "Value"),
        read="GetParameter",
        delete="DeleteParameter",
        puts={"Value": Put("PutParameter", "merge(properties, {Overwrite: `true`, Tags: null})")},
    ),
}
