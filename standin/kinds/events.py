"""What happens and who is told: events, schedules, alarms, logs, queues and topics."""

from collections.abc import Mapping

from standin.kinds.kind import Kind, Put, arn_of, from_properties

EVENTS: Mapping[str, Kind] = {
    "AWS::CloudWatch::Alarm": Kind(
        service="cloudwatch",
        create="PutMetricAlarm",
        ref="properties.AlarmName",
        name="AlarmName",
        identity={"AlarmName": "properties.AlarmName", "AlarmNames": "[properties.AlarmName]"},
        attributes={"Arn": arn_of("cloudwatch", "'alarm', properties.AlarmName")},
        read="DescribeAlarms",
        exists="MetricAlarms[0]",
        update="PutMetricAlarm",
        delete="DeleteAlarms",
    ),
    "AWS::CloudWatch::Dashboard": Kind(
        service="cloudwatch",
        create="PutDashboard",
        ref="properties.DashboardName",
        name="DashboardName",
        identity={"DashboardName": "properties.DashboardName", "DashboardNames": "[properties.DashboardName]"},
        read="GetDashboard",
        update="PutDashboard",
        delete="DeleteDashboards",
    ),
    "AWS::Events::EventBus": Kind(
        service="events",
        create="CreateEventBus",
        ref="properties.Name",
        name="Name",
        identity=from_properties("Name"),
        attributes={"Arn": "answer.EventBusArn", "Name": "properties.Name"},
        read="DescribeEventBus",
        delete="DeleteEventBus",
    ),
    "AWS::Events::EventBusPolicy": Kind(
        service="events",
        create="PutPermission",
        ref="properties.StatementId",
        request="{EventBusName: properties.EventBusName, Policy: {Version: '2012-10-17',"
        " Statement: [merge(properties.Statement, {Sid: properties.StatementId})]}}",
        identity={**from_properties("EventBusName", "StatementId"), "Name": "properties.EventBusName"},
        read="DescribeEventBus",
        exists="Policy",
        update="PutPermission",
        delete="RemovePermission",
    ),
    "AWS::Events::Rule": Kind(
        service="events",
        create="PutRule",
        ref="properties.Name",
        name="Name",
        identity=from_properties("Name", "EventBusName"),
        attributes={"Arn": "answer.RuleArn"},
        read="DescribeRule",
        update="PutRule",
        delete="DeleteRule",
        puts={
            "Targets": Put(
                "PutTargets",
                "{Rule: id, EventBusName: properties.EventBusName, Targets: [item], Ids: [item.Id]}",
                undo="RemoveTargets",
            )
        },
    ),
    "AWS::Logs::LogGroup": Kind(
        service="logs",
        create="CreateLogGroup",
        ref="properties.LogGroupName",
        name="LogGroupName",
        identity={"logGroupName": "properties.LogGroupName", "logGroupNamePrefix": "properties.LogGroupName"},
        attributes={"Arn": arn_of("logs", "'log-group', properties.LogGroupName, '*'")},
        read="DescribeLogGroups",
        exists="logGroups[0]",
        delete="DeleteLogGroup",
        puts={"RetentionInDays": Put("PutRetentionPolicy", "{logGroupName: id, retentionInDays: value}")},
    ),
    "AWS::SNS::Subscription": Kind(
        service="sns",
        create="Subscribe",
        ref="answer.SubscriptionArn",
        request="merge(properties, {ReturnSubscriptionArn: `true`, RawMessageDelivery: null, SubscriptionRoleArn: null,"
        " Attributes: properties.SubscriptionRoleArn && {SubscriptionRoleArn: properties.SubscriptionRoleArn,"
        " RawMessageDelivery: to_string(properties.RawMessageDelivery)}})",
        identity={"SubscriptionArn": "id"},
        read="GetSubscriptionAttributes",
        delete="Unsubscribe",
    ),
    "AWS::SNS::Topic": Kind(
        service="sns",
        create="CreateTopic",
        ref="answer.TopicArn",
        name="TopicName",
        request="{Name: properties.TopicName, Tags: properties.Tags,"
        " Attributes: {KmsMasterKeyId: properties.KmsMasterKeyId, DisplayName: properties.DisplayName}}",
        identity={"TopicArn": "id"},
        attributes={"TopicArn": "id", "TopicName": "properties.TopicName"},
        read="GetTopicAttributes",
        delete="DeleteTopic",
    ),
    "AWS::SNS::TopicPolicy": Kind(
        service="sns",
        ref="name",
        identity={"TopicArn": "properties.Topics[0]"},
        read="GetTopicAttributes",
        exists="Attributes.Policy",
        puts={
            "Topics": Put(
                "SetTopicAttributes",
                "{TopicArn: item, AttributeName: 'Policy', AttributeValue: properties.PolicyDocument}",
            )
        },
    ),
    "AWS::SQS::Queue": Kind(
        service="sqs",
        create="CreateQueue",
        ref="answer.QueueUrl",
        name="QueueName",
        request="{QueueName: properties.QueueName, tags: properties.Tags,"
        " Attributes: merge(properties, {QueueName: null, Tags: null})}",
        identity={"QueueUrl": "id"},
        attributes={
            "Arn": arn_of("sqs", "properties.QueueName"),
            "QueueName": "properties.QueueName",
            "QueueUrl": "id",
        },
        read="GetQueueAttributes",
        update="SetQueueAttributes",
        delete="DeleteQueue",
    ),
    "AWS::SQS::QueuePolicy": Kind(
        service="sqs",
        ref="name",
        identity={"QueueUrl": "properties.Queues[0]", "AttributeNames": "['Policy']"},
        read="GetQueueAttributes",
        exists="Attributes.Policy",
        puts={"Queues": Put("SetQueueAttributes", "{QueueUrl: item, Attributes: {Policy: properties.PolicyDocument}}")},
    ),
    "AWS::Scheduler::Schedule": Kind(
        service="scheduler",
        create="CreateSchedule",
        ref="properties.Name",
        name="Name",
        identity=from_properties("Name", "GroupName"),
        attributes={"Arn": "answer.ScheduleArn"},
        read="GetSchedule",
        update="UpdateSchedule",
        delete="DeleteSchedule",
    ),
    "AWS::Scheduler::ScheduleGroup": Kind(
        service="scheduler",
        create="CreateScheduleGroup",
        ref="properties.Name",
        name="Name",
        identity=from_properties("Name"),
        attributes={"Arn": "answer.ScheduleGroupArn"},
        read="GetScheduleGroup",
        delete="DeleteScheduleGroup",
    ),
}
