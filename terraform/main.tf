# A whole deployment. The parts are modules of their own: whoever needs other ones puts them
# together differently, as examples/emulator does.

data "aws_caller_identity" "this" {}

data "aws_region" "this" {}

data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  region    = data.aws_region.this.name
  partition = data.aws_partition.this.partition

  # names of buckets are the world's
  input_bucket  = coalesce(var.input_bucket, "${var.name}-input-${local.account}")
  output_bucket = coalesce(var.output_bucket, "${var.name}-output-${local.account}")

  # how S3 notifies of uploads
  by_queue  = var.uploads == "queue"
  by_lambda = contains(["lambda", "queue-lambda"], var.uploads)

  # tasks that need a GPU have a lane of their own where there are machines for them
  lanes = concat(
    ["chunking", "map", "reassembly"],
    var.gpu == null ? [] : ["map-gpu"],
    var.uploads == "queue-lambda" ? ["uploads"] : [],
    var.more_lanes,
  )

  # the contract: packages/adapter-aws/src/settings.rs
  environment = merge(
    {
      INPUT_BUCKET_NAME               = local.input_bucket
      OUTPUT_BUCKET_NAME              = local.output_bucket
      JOBS_TABLE_NAME                 = module.tables.names.jobs
      SEGMENT_COMPLETIONS_TABLE_NAME  = module.tables.names.completions
      REASSEMBLY_TRIGGERED_TABLE_NAME = module.tables.names.leases
      ASSETS_TABLE_NAME               = module.tables.names.assets
      CHUNKING_QUEUE_URL              = module.queues.urls["chunking"]
      MAP_QUEUE_URL                   = module.queues.urls["map"]
      REASSEMBLY_QUEUE_URL            = module.queues.urls["reassembly"]
      SEGUE_LOG                       = "info"
      SEGUE_LOG_FORMAT                = "json"
    },
    var.segment_duration_s == null ? {} : { CHUNK_SEGMENT_DURATION_SEC = tostring(var.segment_duration_s) },
    var.gpu == null ? {} : { MAP_GPU_QUEUE_URL = module.queues.urls["map-gpu"] },
    var.uploads == "queue-lambda" ? { INGEST_QUEUE_URL = module.queues.urls["uploads"] } : {},
    { for lane in var.more_lanes : "${upper(lane)}_QUEUE_URL" => module.queues.urls[lane] },
    var.recipe == null ? {} : { SEGUE_RECIPE = var.recipe },
    var.allow_map == null ? {} : { SEGUE_ALLOW_MAP = var.allow_map },
  )
  # Lambda sets a function's region itself, and refuses a variable of that name
  worker_environment = merge(local.environment, { AWS_REGION = local.region })
}

module "key" {
  source = "./modules/key"

  name       = var.name
  account_id = local.account
  region     = local.region
  partition  = local.partition
}

module "storage" {
  source = "./modules/storage"

  input_bucket                = local.input_bucket
  output_bucket               = local.output_bucket
  kms_key_arn                 = module.key.arn
  partition                   = local.partition
  force_destroy               = var.force_destroy
  expire_transient_after_days = var.expire_transient_after_days
  expire_sources_after_days   = var.expire_sources_after_days
  access_log_bucket           = var.access_log_bucket
  upload_origins              = var.upload_origins
}

module "queues" {
  source = "./modules/queues"

  name              = var.name
  account_id        = local.account
  kms_key_arn       = module.key.arn
  lanes             = local.lanes
  upload_lane       = { queue = "chunking", "queue-lambda" = "uploads", lambda = null }[var.uploads]
  upload_bucket_arn = module.storage.input_bucket_arn
  # the function counts no failures: what it cannot take is put aside after two hours
  max_receive_counts = { uploads = 20 }
}

module "tables" {
  source = "./modules/tables"

  name                = var.name
  kms_key_arn         = module.key.arn
  deletion_protection = !var.force_destroy
}

module "roles" {
  source = "./modules/roles"

  name              = var.name
  account_id        = local.account
  region            = local.region
  partition         = local.partition
  input_bucket_arn  = module.storage.input_bucket_arn
  output_bucket_arn = module.storage.output_bucket_arn
  table_arns        = module.tables.arns
  queue_arns        = module.queues.arns
  dead_queue_arns   = module.queues.dead_arns
  kms_key_arn       = module.key.arn
  repository_arns   = var.repository_arns
}

# Uploads become jobs.

module "lambda" {
  source = "./modules/lambda"
  count  = local.by_lambda ? 1 : 0

  name              = var.name
  account_id        = local.account
  bundle            = var.lambda.bundle
  architecture      = var.lambda.architecture
  role_arn          = module.roles.ingest_role_arn
  kms_key_arn       = module.key.arn
  environment       = local.environment
  upload_bucket_arn = module.storage.input_bucket_arn
  queue             = var.uploads == "queue-lambda" ? { arn = module.queues.arns["uploads"] } : null
  dead_queue_arn    = module.queues.dead_arns["chunking"]
}

resource "aws_s3_bucket_notification" "uploads" {
  bucket = module.storage.input_bucket

  # every way to create: an upload in parts ends with CompleteMultipartUpload, not with Put
  dynamic "queue" {
    for_each = var.uploads == "lambda" ? [] : [module.queues.arns[local.by_queue ? "chunking" : "uploads"]]

    content {
      id            = "uploads"
      queue_arn     = queue.value
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = "input/"
    }
  }

  dynamic "lambda_function" {
    for_each = var.uploads == "lambda" ? module.lambda[*].function_arn : []

    content {
      id                  = "uploads"
      lambda_function_arn = lambda_function.value
      events              = ["s3:ObjectCreated:*"]
      filter_prefix       = "input/"
    }
  }

  depends_on = [module.queues, module.lambda]
}

# The fleet.

module "network" {
  source = "./modules/network"

  name           = var.name
  region         = local.region
  zones          = var.zones
  cidr           = var.cidr
  egress         = var.egress
  nat_per_zone   = var.nat_per_zone
  more_endpoints = var.gpu == null ? [] : ["ecs", "ecs-agent", "ecs-telemetry"]
  kms_key_arn    = module.key.arn
}

resource "aws_ecs_cluster" "cpu" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "cpu" {
  cluster_name       = aws_ecs_cluster.cpu.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

module "workers_cpu" {
  source   = "./modules/workers-cpu"
  for_each = var.cpu

  name              = var.name
  program           = each.key
  roles             = [each.key]
  region            = local.region
  cluster_arn       = aws_ecs_cluster.cpu.arn
  cluster_name      = aws_ecs_cluster.cpu.name
  image             = var.image
  architecture      = var.image_architecture
  cpu               = each.value.cpu
  memory_mb         = each.value.memory_mb
  scratch_gb        = each.value.scratch_gb
  spot              = each.value.spot
  min               = each.value.min
  max               = each.value.max
  messages_per_task = each.value.messages_per_task
  # the sweeper follows no queue: it looks at all of them
  queue              = try(module.queues.names[{ chunker = "chunking", worker = "map", reassembler = "reassembly" }[each.key]], null)
  subnet_ids         = module.network.subnet_ids
  security_group_id  = module.network.security_group_id
  task_role_arn      = module.roles.task_role_arns[each.key]
  execution_role_arn = module.roles.execution_role_arn
  environment        = local.worker_environment
  kms_key_arn        = module.key.arn

  depends_on = [aws_ecs_cluster_capacity_providers.cpu]
}

module "workers_gpu" {
  source = "./modules/workers-gpu"
  count  = var.gpu == null ? 0 : 1

  name               = var.name
  region             = local.region
  account_id         = local.account
  partition          = local.partition
  image              = var.gpu.image
  instance_types     = var.gpu.instance_types
  spot               = var.gpu.spot
  max                = var.gpu.max
  messages_per_task  = var.gpu.messages_per_task
  queue              = module.queues.names["map-gpu"]
  subnet_ids         = module.network.subnet_ids
  security_group_id  = module.network.security_group_id
  task_role_arn      = module.roles.task_role_arns["gpu-worker"]
  execution_role_arn = module.roles.execution_role_arn
  environment        = local.worker_environment
  kms_key_arn        = module.key.arn
}

# Who looks after it.

module "watch" {
  source = "./modules/watch"

  name             = var.name
  region           = local.region
  account_id       = local.account
  kms_key_arn      = module.key.arn
  emails           = var.alarm_emails
  queue_names      = module.queues.names
  dead_queue_names = module.queues.dead_names
  table_names      = module.tables.names
  log_group_names = merge(
    { for program, workers in module.workers_cpu : program => workers.log_group_name },
    var.gpu == null ? {} : { "gpu-worker" = module.workers_gpu[0].log_group_name },
    local.by_lambda ? { ingest = module.lambda[0].log_group_name } : {},
  )
  services = merge(
    { for program, workers in module.workers_cpu : workers.service_name => aws_ecs_cluster.cpu.name },
    var.gpu == null ? {} : { (module.workers_gpu[0].service_name) = module.workers_gpu[0].cluster_name },
  )
  sweeper            = contains(keys(var.cpu), "sweeper") ? { cluster = aws_ecs_cluster.cpu.name, service = module.workers_cpu["sweeper"].service_name } : null
  function_name      = local.by_lambda ? module.lambda[0].function_name : null
  monthly_budget_usd = var.monthly_budget_usd
  cost_tag           = var.cost_tag
}
