# A program in a container: the same image for every role, with a read-only root, without
# privileges, as an unprivileged user.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/${var.program}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

locals {
  environment = merge(
    {
      SEGUE_LOG          = "info"
      SEGUE_LOG_FORMAT   = "json"
      SEGUE_SCRATCH      = "/scratch"
      SEGUE_HEALTH_FILE  = "/scratch/health"
      SEGUE_SOURCE_CACHE = tostring(floor(var.scratch_gb * 0.4 * pow(1024, 3)))
      TMPDIR             = "/scratch"
    },
    var.environment,
  )

  container = merge(
    {
      name        = "segue"
      image       = var.image
      essential   = true
      command     = ["worker", "--roles", join(",", var.roles)]
      environment = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]

      user                   = "10001:10001"
      privileged             = false
      readonlyRootFilesystem = true
      mountPoints            = [{ sourceVolume = "scratch", containerPath = "/scratch", readOnly = false }]
      linuxParameters = {
        initProcessEnabled = true
        capabilities       = { drop = ["ALL"] }
      }

      # TERM, then this long until KILL: a worker gives back what it holds within 30 s
      stopTimeout = 60
      healthCheck = {
        command     = ["CMD", "segue", "health"]
        interval    = 30
        timeout     = 10
        retries     = 3
        startPeriod = 120
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.this.name
          awslogs-region        = var.region
          awslogs-stream-prefix = var.program
        }
      }
    },
    var.gpus == 0 ? {} : {
      resourceRequirements = [{ type = "GPU", value = tostring(var.gpus) }]
    },
  )
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.name}-${var.program}"
  requires_compatibilities = [var.launch_type]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mb
  task_role_arn            = var.task_role_arn
  execution_role_arn       = var.execution_role_arn
  container_definitions    = jsonencode([local.container])

  volume {
    name = "scratch"
  }

  dynamic "ephemeral_storage" {
    for_each = var.launch_type == "FARGATE" ? [var.scratch_gb] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  dynamic "runtime_platform" {
    for_each = var.launch_type == "FARGATE" ? [var.architecture] : []

    content {
      operating_system_family = "LINUX"
      cpu_architecture        = upper(runtime_platform.value)
    }
  }
}
