# A role on Fargate.

module "task" {
  source = "../task"

  name               = var.name
  program            = var.program
  roles              = var.roles
  region             = var.region
  image              = var.image
  launch_type        = "FARGATE"
  architecture       = var.architecture
  cpu                = var.cpu
  memory_mb          = var.memory_mb
  scratch_gb         = var.scratch_gb
  task_role_arn      = var.task_role_arn
  execution_role_arn = var.execution_role_arn
  environment        = var.environment
  kms_key_arn        = var.kms_key_arn
}

resource "aws_ecs_service" "this" {
  name            = var.program
  cluster         = var.cluster_arn
  task_definition = module.task.arn
  desired_count   = var.min

  # the newest there is; security mends come by themselves
  platform_version       = "LATEST"
  propagate_tags         = "SERVICE"
  enable_execute_command = false

  dynamic "capacity_provider_strategy" {
    for_each = var.spot ? { FARGATE_SPOT = 1 } : { FARGATE = 1 }

    content {
      capacity_provider = capacity_provider_strategy.key
      weight            = capacity_provider_strategy.value
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # the scaling's
    ignore_changes = [desired_count]
  }
}

module "scaling" {
  source = "../scaling"
  count  = var.queue == null ? 0 : 1

  cluster           = var.cluster_name
  service           = aws_ecs_service.this.name
  queue             = var.queue
  min               = var.min
  max               = var.max
  messages_per_task = var.messages_per_task
}
