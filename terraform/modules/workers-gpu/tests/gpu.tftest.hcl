mock_provider "aws" {
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-00000000000000000" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/role" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::111122223333:instance-profile/machine" }
  }

  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:us-east-1:111122223333:cluster/segue-gpu" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-east-1:111122223333:task-definition/task:1" }
  }

  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:us-east-1:111122223333:scalingPolicy:00000000-0000-0000-0000-000000000000:resource/ecs/service/segue/worker:policyName/out" }
  }

  mock_resource "aws_autoscaling_group" {
    defaults = { arn = "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/segue-gpu" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-00000000000000000", latest_version = 1 }
  }
}

variables {
  name               = "segue"
  region             = "us-east-1"
  account_id         = "111122223333"
  image              = "segue:1.0.0-cuda"
  queue              = "segue-map"
  subnet_ids         = ["subnet-00000000000000000"]
  security_group_id  = "sg-00000000000000000"
  task_role_arn      = "arn:aws:iam::111122223333:role/segue-worker"
  execution_role_arn = "arn:aws:iam::111122223333:role/segue-execution"
  environment        = {}
  kms_key_arn        = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "spot_and_nothing_at_rest" {
  command = apply

  assert {
    condition     = aws_autoscaling_group.machine.min_size == 0 && aws_ecs_service.this.desired_count == 0
    error_message = "something runs while nothing is to be done"
  }

  assert {
    condition     = aws_autoscaling_group.machine.mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity == 0 && aws_autoscaling_group.machine.mixed_instances_policy[0].instances_distribution[0].on_demand_base_capacity == 0
    error_message = "not on spot"
  }

  assert {
    condition     = [for override in aws_autoscaling_group.machine.mixed_instances_policy[0].launch_template[0].override : override.instance_type] == ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"]
    error_message = "the machines"
  }

  # the capacity provider ends machines only when they are empty
  assert {
    condition     = aws_autoscaling_group.machine.protect_from_scale_in && aws_ecs_capacity_provider.machine.auto_scaling_group_provider[0].managed_termination_protection == "ENABLED" && aws_ecs_capacity_provider.machine.auto_scaling_group_provider[0].managed_scaling[0].status == "ENABLED"
    error_message = "machines are ended under their work"
  }

  assert {
    condition     = aws_launch_template.machine.metadata_options[0].http_tokens == "required" && aws_launch_template.machine.metadata_options[0].http_put_response_hop_limit == 1 && strcontains(base64decode(aws_launch_template.machine.user_data), "ECS_AWSVPC_BLOCK_IMDS=true")
    error_message = "a program can take the machine's role"
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.machine.user_data), "\nECS_CLUSTER=segue-gpu\n") && strcontains(base64decode(aws_launch_template.machine.user_data), "\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n")
    error_message = "a machine joins the cluster, and drains when it is interrupted"
  }

  assert {
    condition = alltrue(flatten([
      for s in jsondecode(aws_iam_role_policy.machine.policy).Statement : [for action in s.Action : !strcontains(action, "*")]
    ]))
    error_message = "an action is open"
  }
}

run "another_kind_of_machine" {
  command = plan

  variables {
    instance_types = ["p5.48xlarge"]
  }

  expect_failures = [var.instance_types]
}
