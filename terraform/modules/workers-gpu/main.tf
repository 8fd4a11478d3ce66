# A role on GPU machines: EC2 spot instances in ECS, none while nothing is to be done.
#
# The service follows the queue, the machines follow the service: a task that finds no room
# makes the capacity provider start a machine, and a machine without tasks is ended.

module "task" {
  source = "../task"

  name               = var.name
  program            = var.program
  roles              = var.roles
  region             = var.region
  image              = var.image
  launch_type        = "EC2"
  cpu                = var.cpu
  memory_mb          = var.memory_mb
  gpus               = 1
  scratch_gb         = floor(var.disk_gb / 2)
  task_role_arn      = var.task_role_arn
  execution_role_arn = var.execution_role_arn
  environment        = var.environment
  kms_key_arn        = var.kms_key_arn
}

resource "aws_ecs_cluster" "this" {
  name = "${var.name}-gpu"

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# What a machine itself may do: join this cluster. Programs never get this role: the metadata
# service answers one hop away only, and tasks have a network of their own.

resource "aws_iam_role" "machine" {
  name = "${var.name}-gpu-machine"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

locals {
  machine_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Join"
        Effect   = "Allow"
        Action   = ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance"]
        Resource = [aws_ecs_cluster.this.arn]
      },
      {
        Sid    = "Work"
        Effect = "Allow"
        Action = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:UpdateContainerInstancesState"]
        Resource = [
          "arn:${var.partition}:ecs:${var.region}:${var.account_id}:container-instance/${var.name}-gpu/*",
          "arn:${var.partition}:ecs:${var.region}:${var.account_id}:task/${var.name}-gpu/*",
          aws_ecs_cluster.this.arn,
        ]
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
      },
      {
        # asks for an address; knows no resource
        Sid      = "Discover"
        Effect   = "Allow"
        Action   = ["ecs:DiscoverPollEndpoint"]
        Resource = ["*"]
      },
    ]
  }
}

resource "aws_iam_role_policy" "machine" {
  name   = "ecs"
  role   = aws_iam_role.machine.id
  policy = jsonencode(local.machine_policy)
}

resource "aws_iam_instance_profile" "machine" {
  name = "${var.name}-gpu-machine"
  role = aws_iam_role.machine.name
}

# Amazon's image for ECS with NVIDIA's driver.
data "aws_ssm_parameter" "image" {
  name = var.machine_image_parameter
}

resource "aws_launch_template" "machine" {
  name_prefix            = "${var.name}-gpu-"
  image_id               = nonsensitive(data.aws_ssm_parameter.image.value)
  update_default_version = true
  vpc_security_group_ids = [var.security_group_id]
  ebs_optimized          = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.machine.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gb
      encrypted             = true
      kms_key_id            = var.volume_kms_key_arn
      delete_on_termination = true
    }
  }

  user_data = base64encode(<<-CONFIG
    #!/bin/bash
    cat >>/etc/ecs/ecs.config <<'END'
    ECS_CLUSTER=${aws_ecs_cluster.this.name}
    ECS_ENABLE_GPU_SUPPORT=true
    ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
    ECS_AWSVPC_BLOCK_IMDS=true
    ECS_CONTAINER_STOP_TIMEOUT=60s
    END
  CONFIG
  )

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.name}-gpu" }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "${var.name}-gpu" }
  }
}

resource "aws_autoscaling_group" "machine" {
  name                  = "${var.name}-gpu"
  min_size              = 0
  max_size              = var.max
  vpc_zone_identifier   = var.subnet_ids
  protect_from_scale_in = true
  capacity_rebalance    = true
  default_cooldown      = 60

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = var.spot ? 0 : 100
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.machine.id
        version            = aws_launch_template.machine.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = ""
    propagate_at_launch = true
  }

  tag {
    key                 = "Name"
    value               = "${var.name}-gpu"
    propagate_at_launch = true
  }

  lifecycle {
    # the capacity provider's
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "machine" {
  name = "${var.name}-gpu"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.machine.arn
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"

    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 10
      instance_warmup_period    = 120
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = [aws_ecs_capacity_provider.machine.name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.machine.name
    weight            = 1
  }
}

resource "aws_ecs_service" "this" {
  name                   = var.program
  cluster                = aws_ecs_cluster.this.arn
  task_definition        = module.task.arn
  desired_count          = 0
  propagate_tags         = "SERVICE"
  enable_execute_command = false

  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.machine.name
    weight            = 1
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [var.security_group_id]
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # the scaling's
    ignore_changes = [desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this]
}

module "scaling" {
  source = "../scaling"

  cluster           = aws_ecs_cluster.this.name
  service           = aws_ecs_service.this.name
  queue             = var.queue
  min               = 0
  max               = var.max
  messages_per_task = var.messages_per_task
  start_s           = 240
  late_after_s      = var.late_after_s
}
