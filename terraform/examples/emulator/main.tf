# What an emulator can run of a deployment: storage, queues, tables, roles, and the function.
# scripts/emulate applies it; the roles then run as processes of this machine.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.60"
    }
  }
}

variable "endpoint" {
  description = "Where the emulator answers: http://127.0.0.1:4566."
  type        = string
}

variable "name" {
  description = "Name of the deployment."
  type        = string
  default     = "segue"
}

variable "uploads" {
  description = "How S3 tells of uploads: queue, lambda or queue-lambda."
  type        = string
  default     = "queue"
}

variable "lambda_bundle" {
  description = "The function, for x86_64; null for none."
  type        = string
  default     = null
}

variable "function_endpoint" {
  description = "Where the function reaches the emulator; null for the same."
  type        = string
  default     = null
}

variable "segment_duration_s" {
  description = "Length of a segment, seconds."
  type        = number
  default     = 10
}

variable "recipe" {
  description = "Recipe of an upload; null for the default."
  type        = string
  default     = null
}

locals {
  account = "000000000000"
  region  = "us-east-1"
}

provider "aws" {
  region     = local.region
  access_key = "test"
  secret_key = "test"

  # an emulator has an address, and no name below which buckets could be names
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    dynamodb = var.endpoint
    iam      = var.endpoint
    kms      = var.endpoint
    lambda   = var.endpoint
    logs     = var.endpoint
    s3       = var.endpoint
    sqs      = var.endpoint
    sts      = var.endpoint
  }
}

module "key" {
  source = "../../modules/key"

  name       = var.name
  account_id = local.account
  region     = local.region
}

module "storage" {
  source = "../../modules/storage"

  input_bucket  = "${var.name}-input"
  output_bucket = "${var.name}-output"
  kms_key_arn   = module.key.arn
  force_destroy = true
}

module "queues" {
  source = "../../modules/queues"

  name              = var.name
  account_id        = local.account
  kms_key_arn       = module.key.arn
  lanes             = concat(["chunking", "map", "reassembly"], var.uploads == "queue-lambda" ? ["uploads"] : [])
  upload_lane       = { queue = "chunking", "queue-lambda" = "uploads", lambda = null }[var.uploads]
  upload_bucket_arn = module.storage.input_bucket_arn
}

module "tables" {
  source = "../../modules/tables"

  name                = var.name
  kms_key_arn         = module.key.arn
  deletion_protection = false
}

module "roles" {
  source = "../../modules/roles"

  name              = var.name
  account_id        = local.account
  region            = local.region
  input_bucket_arn  = module.storage.input_bucket_arn
  output_bucket_arn = module.storage.output_bucket_arn
  table_arns        = module.tables.arns
  queue_arns        = module.queues.arns
  dead_queue_arns   = module.queues.dead_arns
  kms_key_arn       = module.key.arn
}

locals {
  environment = merge(
    {
      INPUT_BUCKET_NAME               = module.storage.input_bucket
      OUTPUT_BUCKET_NAME              = module.storage.output_bucket
      JOBS_TABLE_NAME                 = module.tables.names.jobs
      SEGMENT_COMPLETIONS_TABLE_NAME  = module.tables.names.completions
      REASSEMBLY_TRIGGERED_TABLE_NAME = module.tables.names.leases
      ASSETS_TABLE_NAME               = module.tables.names.assets
      CHUNKING_QUEUE_URL              = module.queues.urls["chunking"]
      MAP_QUEUE_URL                   = module.queues.urls["map"]
      REASSEMBLY_QUEUE_URL            = module.queues.urls["reassembly"]
      CHUNK_SEGMENT_DURATION_SEC      = tostring(var.segment_duration_s)
      SEGUE_LOG                       = "info"
      SEGUE_LOG_FORMAT                = "json"
    },
    var.recipe == null ? {} : { SEGUE_RECIPE = var.recipe },
  )
}

module "lambda" {
  source = "../../modules/lambda"
  count  = var.lambda_bundle == null ? 0 : 1

  name              = var.name
  account_id        = local.account
  bundle            = var.lambda_bundle
  architecture      = "x86_64"
  role_arn          = module.roles.ingest_role_arn
  kms_key_arn       = module.key.arn
  environment       = merge(local.environment, { AWS_ENDPOINT_URL = coalesce(var.function_endpoint, var.endpoint) })
  upload_bucket_arn = module.storage.input_bucket_arn
  queue             = var.uploads == "queue-lambda" ? { arn = module.queues.arns["uploads"] } : null
  dead_queue_arn    = module.queues.dead_arns["chunking"]
}

resource "aws_s3_bucket_notification" "uploads" {
  bucket = module.storage.input_bucket

  dynamic "queue" {
    for_each = var.uploads == "lambda" ? [] : [module.queues.arns[var.uploads == "queue" ? "chunking" : "uploads"]]

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

output "environment" {
  description = "The environment contract, for the roles."
  value = merge(local.environment, {
    AWS_REGION            = local.region
    AWS_ENDPOINT_URL      = var.endpoint
    AWS_ACCESS_KEY_ID     = "test"
    AWS_SECRET_ACCESS_KEY = "test"
  })
}

output "function_name" {
  description = "The function, where there is one."
  value       = one(module.lambda[*].function_name)
}
