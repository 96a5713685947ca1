"""Roles, policies, keys, secrets and trails."""

from collections.abc import Mapping

from standin.kinds.kind import Kind, Put, from_properties

SECURITY: Mapping[str, Kind] = {
    "AWS::CloudTrail::Trail": Kind(
        service="cloudtrail",
        create="CreateTrail",
        ref="properties.TrailName",
        name="TrailName",
        request="merge(properties, {Name: properties.TrailName, TrailName: null, Tags: null, TagsList: properties.Tags,"
        " IsLogging: null, AdvancedEventSelectors: null})",
        identity={"Name": "properties.TrailName"},
        attributes={"Arn": "answer.TrailARN"},
        read="GetTrail",
        exists="Trail",
        update="UpdateTrail",
        delete="DeleteTrail",
        puts={
            "AdvancedEventSelectors": Put(
                "PutEventSelectors", "{TrailName: properties.TrailName, AdvancedEventSelectors: value}"
            ),
            "IsLogging": Put("StartLogging", "value && {Name: properties.TrailName} || `null`"),
        },
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        service="iam",
        create="CreatePolicy",
        ref="answer.Policy.Arn",
        name="ManagedPolicyName",
        request="merge(properties, {PolicyName: properties.ManagedPolicyName, ManagedPolicyName: null, Roles: null})",
        identity={"PolicyArn": "id"},
        attributes={"PolicyArn": "id"},
        read="GetPolicy",
        delete="DeletePolicy",
        puts={
            "PolicyDocument": Put(
                "CreatePolicyVersion", "{PolicyArn: id, PolicyDocument: value, SetAsDefault: `true`}"
            ),
            "Roles": Put("AttachRolePolicy", "{PolicyArn: id, RoleName: item}", undo="DetachRolePolicy"),
        },
    ),
    "AWS::IAM::OIDCProvider": Kind(
        service="iam",
        create="CreateOpenIDConnectProvider",
        ref="answer.OpenIDConnectProviderArn",
        identity={"OpenIDConnectProviderArn": "id"},
        attributes={"Arn": "id"},
        read="GetOpenIDConnectProvider",
        delete="DeleteOpenIDConnectProvider",
    ),
    "AWS::IAM::Policy": Kind(
        service="iam",
        ref="properties.PolicyName",
        identity={"PolicyName": "properties.PolicyName", "RoleName": "properties.Roles[0]"},
        read="GetRolePolicy",
        puts={
            "Roles": Put(
                "PutRolePolicy",
                "{RoleName: item, PolicyName: properties.PolicyName, PolicyDocument: properties.PolicyDocument}",
                undo="DeleteRolePolicy",
            )
        },
    ),
    "AWS::IAM::Role": Kind(
        service="iam",
        create="CreateRole",
        ref="properties.RoleName",
        name="RoleName",
        identity=from_properties("RoleName"),
        attributes={"Arn": "answer.Role.Arn", "RoleId": "answer.Role.RoleId"},
        read="GetRole",
        update="UpdateRole",
        delete="DeleteRole",
        puts={
            "AssumeRolePolicyDocument": Put("UpdateAssumeRolePolicy", "{RoleName: id, PolicyDocument: value}"),
            "ManagedPolicyArns": Put("AttachRolePolicy", "{RoleName: id, PolicyArn: item}", undo="DetachRolePolicy"),
            "PermissionsBoundary": Put("PutRolePermissionsBoundary", "{RoleName: id, PermissionsBoundary: value}"),
            "Policies": Put(
                "PutRolePolicy",
                "{RoleName: id, PolicyName: item.PolicyName, PolicyDocument: item.PolicyDocument}",
                undo="DeleteRolePolicy",
            ),
        },
    ),
    "AWS::KMS::Alias": Kind(
        service="kms",
        create="CreateAlias",
        ref="properties.AliasName",
        name="AliasName",
        identity={"AliasName": "properties.AliasName", "KeyId": "properties.AliasName"},
        read="DescribeKey",
        delete="DeleteAlias",
    ),
    "AWS::KMS::Key": Kind(
        service="kms",
        create="CreateKey",
        ref="answer.KeyMetadata.KeyId",
        request="merge(properties, {Policy: properties.KeyPolicy, KeyPolicy: null, EnableKeyRotation: null,"
        " PendingWindowInDays: null})",
        identity={"KeyId": "id", "PendingWindowInDays": "properties.PendingWindowInDays"},
        attributes={"Arn": "answer.KeyMetadata.Arn", "KeyId": "id"},
        read="DescribeKey",
        exists="KeyMetadata.KeyState == 'Enabled'",
        update="UpdateKeyDescription",
        delete="ScheduleKeyDeletion",
        puts={
            "KeyPolicy": Put("PutKeyPolicy", "{KeyId: id, PolicyName: 'default', Policy: value}", member="Policy"),
            "EnableKeyRotation": Put("EnableKeyRotation", "value && {KeyId: id} || null", undo="DisableKeyRotation"),
        },
    ),
    "AWS::SecretsManager::Secret": Kind(
        service="secretsmanager",
        create="CreateSecret",
        ref="answer.ARN",
        name="Name",
        identity={"SecretId": "id"},
        read="DescribeSecret",
        delete="DeleteSecret",
    ),
}
