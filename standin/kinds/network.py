"""Networks."""

from collections.abc import Mapping
from typing import Any

from standin.kinds.kind import Kind, Put, from_answer, from_properties


def _ec2(noun: str, **more: Any) -> Kind:
    """A resource of EC2 that is known by its id, whose changes replace it but for those of its puts."""
    plain = {
        "create": f"Create{noun}",
        "ref": f"answer.{noun}.{noun}Id",
        "identity": {f"{noun}Id": "id", f"{noun}Ids": "[id]"},
        "attributes": {f"{noun}Id": "id"},
        "read": f"Describe{noun}s",
        "exists": f"{noun}s[0]",
        "delete": f"Delete{noun}",
    }
    return Kind("ec2", **{**plain, **more})


def _security_group_rule(direction: str, end: str) -> Kind:
    """A rule that lets one security group speak with another."""
    return Kind(
        service="ec2",
        create=f"AuthorizeSecurityGroup{direction}",
        ref="answer.SecurityGroupRules[0].SecurityGroupRuleId",
        request="{GroupId: properties.GroupId, IpPermissions: [" + _permission("properties", end) + "]}",
        identity={"GroupId": "properties.GroupId", "SecurityGroupRuleIds": "[id]"},
        read="DescribeSecurityGroupRules",
        exists="SecurityGroupRules[0]",
        delete=f"RevokeSecurityGroup{direction}",
    )


def _security_group_put(direction: str, end: str) -> Put:
    return Put(
        f"AuthorizeSecurityGroup{direction}",
        "{GroupId: id, IpPermissions: [" + _permission("item", end) + "]}",
        undo=f"RevokeSecurityGroup{direction}",
    )


def _permission(rule: str, end: str) -> str:
    return (
        f"{rule}.{{IpProtocol: IpProtocol, FromPort: FromPort, ToPort: ToPort,"
        f" IpRanges: CidrIp && [{{CidrIp: CidrIp, Description: Description}}],"
        f" UserIdGroupPairs: {end}SecurityGroupId && [{{GroupId: {end}SecurityGroupId, Description: Description}}]}}"
    )


NETWORK: Mapping[str, Kind] = {
    "AWS::EC2::EIP": _ec2(
        "Address",
        create="AllocateAddress",
        ref="answer.PublicIp",
        identity={"AllocationId": "answer.AllocationId", "AllocationIds": "[answer.AllocationId]"},
        attributes=from_answer("AllocationId"),
        read="DescribeAddresses",
        exists="Addresses[0]",
        delete="ReleaseAddress",
    ),
    "AWS::EC2::FlowLog": _ec2(
        "FlowLog",
        create="CreateFlowLogs",
        ref="answer.FlowLogIds[0]",
        request="merge(properties, {ResourceIds: [properties.ResourceId], ResourceId: null})",
        delete="DeleteFlowLogs",
    ),
    "AWS::EC2::InternetGateway": _ec2("InternetGateway"),
    "AWS::EC2::NatGateway": _ec2("NatGateway", exists="NatGateways[?State == 'available'] | [0]"),
    "AWS::EC2::Route": Kind(
        service="ec2",
        create="CreateRoute",
        ref="join('|', [properties.RouteTableId, properties.DestinationCidrBlock])",
        identity={
            **from_properties("RouteTableId", "DestinationCidrBlock"),
            "RouteTableIds": "[properties.RouteTableId]",
            "Filters": "[{Name: 'route.destination-cidr-block', Values: [properties.DestinationCidrBlock]}]",
        },
        read="DescribeRouteTables",
        exists="RouteTables[0]",
        delete="DeleteRoute",
    ),
    "AWS::EC2::RouteTable": _ec2("RouteTable"),
    "AWS::EC2::SecurityGroup": _ec2(
        "SecurityGroup",
        ref="answer.GroupId",
        name="GroupName",
        request="merge(properties, {Description: properties.GroupDescription, GroupDescription: null})",
        identity={"GroupId": "id", "GroupIds": "[id]"},
        attributes={"GroupId": "id"},
        puts={
            "SecurityGroupEgress": _security_group_put("Egress", "Destination"),
            "SecurityGroupIngress": _security_group_put("Ingress", "Source"),
        },
    ),
    "AWS::EC2::SecurityGroupEgress": _security_group_rule("Egress", "Destination"),
    "AWS::EC2::SecurityGroupIngress": _security_group_rule("Ingress", "Source"),
    "AWS::EC2::Subnet": _ec2(
        "Subnet",
        puts={
            "MapPublicIpOnLaunch": Put("ModifySubnetAttribute", "{SubnetId: id, MapPublicIpOnLaunch: {Value: value}}")
        },
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        service="ec2",
        create="AssociateRouteTable",
        ref="answer.AssociationId",
        identity={
            "AssociationId": "id",
            "Filters": "[{Name: 'association.route-table-association-id', Values: [id]}]",
        },
        read="DescribeRouteTables",
        exists="RouteTables[0]",
        delete="DisassociateRouteTable",
    ),
    "AWS::EC2::VPC": _ec2(
        "Vpc",
        puts={
            name: Put("ModifyVpcAttribute", f"{{VpcId: id, {name}: {{Value: value}}}}")
            for name in ("EnableDnsHostnames", "EnableDnsSupport")
        },
    ),
    "AWS::EC2::VPCEndpoint": _ec2(
        "VpcEndpoint", exists="VpcEndpoints[?State != 'deleted'] | [0]", delete="DeleteVpcEndpoints"
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(
        service="ec2",
        create="AttachInternetGateway",
        ref="join('|', ['IGW', properties.VpcId])",
        identity={
            **from_properties("InternetGatewayId", "VpcId"),
            "InternetGatewayIds": "[properties.InternetGatewayId]",
        },
        read="DescribeInternetGateways",
        exists="InternetGateways[0].Attachments[0]",
        delete="DetachInternetGateway",
    ),
}
