# Who may do what: one role for each program, and nothing that the program does not do.
#
# Written as data and encoded here, not with aws_iam_policy_document, so that tests can read
# the very policies that are applied. Which call needs which action stands in
# packages/adapter-aws/design.md.

locals {
  # what lies where; a name below a prefix is the only thing that is left open
  objects = {
    input    = "${var.input_bucket_arn}/input/*"
    segments = "${var.input_bucket_arn}/segments/*"
    work     = "${var.output_bucket_arn}/work/*"
    jobs     = "${var.output_bucket_arn}/jobs/*"
  }
  bucket_of = {
    input    = var.input_bucket_arn
    segments = var.input_bucket_arn
    work     = var.output_bucket_arn
    jobs     = var.output_bucket_arn
  }

  row_write = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"]
  row_query = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"]
  row_lease = ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"]
  row_all   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"]

  row_asset = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"]

  # read, write, remove: prefixes. receive, send: lanes. rows: actions on each table.
  programs = {
    chunker = {
      read    = ["input", "segments"]
      write   = ["segments"]
      remove  = []
      receive = ["chunking"]
      send    = concat(["chunking", "reassembly"], local.map_lanes, local.study_lanes, local.notify_lanes)
      # it reads which tasks of an output are leased
      rows    = { jobs = local.row_write, completions = local.row_query, leases = concat(local.row_lease, ["dynamodb:Query"]) }
      indexes = []
    }
    worker = {
      read    = ["input", "segments", "work"]
      write   = ["work"]
      remove  = ["work"]
      receive = concat(["map"], local.net_lanes)
      send    = concat(["reassembly"], local.map_lanes, local.notify_lanes)
      rows    = { jobs = local.row_write, completions = local.row_query, leases = local.row_lease }
      indexes = []
    }
    # the same, on machines with a GPU, from a queue of their own
    gpu-worker = {
      read    = ["input", "segments", "work"]
      write   = ["work"]
      remove  = ["work"]
      receive = [for lane in local.map_lanes : lane if lane == "map-gpu"]
      send    = concat(["reassembly"], local.map_lanes, local.notify_lanes)
      rows    = { jobs = local.row_write, completions = local.row_query, leases = local.row_lease }
      indexes = []
    }
    reassembler = {
      read    = ["input", "segments", "work", "jobs"]
      write   = ["work", "jobs"]
      remove  = ["work", "segments"]
      receive = ["reassembly"]
      send    = concat(["chunking", "reassembly"], local.study_lanes, local.notify_lanes)
      rows    = { jobs = local.row_write, completions = local.row_query, leases = local.row_lease }
      indexes = []
    }
    # also continues deletions, which leave the source
    sweeper = {
      read    = ["segments", "work", "jobs"]
      write   = ["jobs"]
      remove  = ["work", "segments", "jobs"]
      receive = []
      send    = concat(["chunking", "reassembly"], local.map_lanes, local.study_lanes, local.notify_lanes)
      rows    = { jobs = concat(local.row_write, ["dynamodb:BatchGetItem", "dynamodb:DeleteItem"]), completions = concat(local.row_query, ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem"]), leases = concat(local.row_lease, ["dynamodb:Query"]) }
      # open jobs, and the tombstones of deleted ones
      indexes = ["by-open", "by-state"]
    }
    # the function that takes notices of uploads
    ingest = {
      read    = ["input"]
      write   = []
      remove  = []
      receive = []
      send    = ["chunking"]
      # a job is created with the counters of its outputs
      rows    = { jobs = ["dynamodb:GetItem", "dynamodb:PutItem"], completions = ["dynamodb:PutItem"] }
      indexes = []
    }
    # a person or a service that submits, watches, retries, cancels and deletes
    operator = {
      read    = ["input", "segments", "work", "jobs"]
      write   = ["input"]
      remove  = ["input", "segments", "work", "jobs"]
      receive = []
      send    = concat(["chunking", "reassembly"], local.map_lanes, local.study_lanes, local.notify_lanes)
      rows    = { jobs = concat(local.row_all, ["dynamodb:BatchGetItem"]), completions = local.row_all, leases = concat(local.row_lease, ["dynamodb:Query"]), assets = local.row_asset }
      indexes = ["by-state"]
    }
  }

  # the lanes of tasks, and others that are there only where the deployment asks for them
  map_lanes    = [for lane in keys(var.queue_arns) : lane if startswith(lane, "map") || lane == "net"]
  net_lanes    = [for lane in local.map_lanes : lane if lane == "net"]
  notify_lanes = [for lane in keys(var.queue_arns) : lane if lane == "notify"]
  study_lanes  = [for lane in keys(var.queue_arns) : lane if lane == "study"]

  policies = {
    for program, may in local.programs : program => {
      Version = "2012-10-17"
      Statement = [for statement in [
        {
          Sid      = "Read"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = [for prefix in may.read : local.objects[prefix]]
        },
        {
          # without it a missing object is reported as a missing permission
          Sid      = "List"
          Effect   = "Allow"
          Action   = ["s3:ListBucket"]
          Resource = distinct([for prefix in concat(may.read, may.write, may.remove) : local.bucket_of[prefix]])
        },
        {
          Sid      = "Write"
          Effect   = "Allow"
          Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
          Resource = [for prefix in may.write : local.objects[prefix]]
        },
        {
          Sid      = "Remove"
          Effect   = "Allow"
          Action   = ["s3:DeleteObject"]
          Resource = [for prefix in may.remove : local.objects[prefix]]
        },
        {
          Sid      = "Receive"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
          Resource = [for lane in may.receive : var.queue_arns[lane]]
        },
        {
          Sid      = "Send"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
          Resource = [for lane in may.send : var.queue_arns[lane]]
        },
        {
          Sid      = "PutAside"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
          Resource = [for lane in may.receive : var.dead_queue_arns[lane]]
        },
        {
          # only a person takes dead letters out again
          Sid      = "Redrive"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
          Resource = program == "operator" ? values(var.dead_queue_arns) : []
        },
        {
          Sid      = "Jobs"
          Effect   = "Allow"
          Action   = lookup(may.rows, "jobs", [])
          Resource = contains(keys(may.rows), "jobs") ? [var.table_arns.jobs] : []
        },
        {
          Sid      = "JobsByIndex"
          Effect   = "Allow"
          Action   = ["dynamodb:Query"]
          Resource = [for index in may.indexes : "${var.table_arns.jobs}/index/${index}"]
        },
        {
          Sid      = "Completions"
          Effect   = "Allow"
          Action   = lookup(may.rows, "completions", [])
          Resource = contains(keys(may.rows), "completions") ? [var.table_arns.completions] : []
        },
        {
          Sid      = "Leases"
          Effect   = "Allow"
          Action   = lookup(may.rows, "leases", [])
          Resource = contains(keys(may.rows), "leases") ? [var.table_arns.leases] : []
        },
        {
          Sid      = "Assets"
          Effect   = "Allow"
          Action   = lookup(may.rows, "assets", [])
          Resource = contains(keys(may.rows), "assets") ? [var.table_arns.assets] : []
        },
        {
          Sid      = "AssetsByOwner"
          Effect   = "Allow"
          Action   = ["dynamodb:Query"]
          Resource = contains(keys(may.rows), "assets") ? ["${var.table_arns.assets}/index/by-owner"] : []
        },
        {
          Sid      = "Key"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:DescribeKey"]
          Resource = [var.kms_key_arn]
          # the key through the services that keep things, and never by itself
          Condition = { StringEquals = { "kms:ViaService" = [for service in ["s3", "sqs", "dynamodb"] : "${service}.${var.region}.amazonaws.com"] } }
        },
      ] : statement if length(statement.Resource) > 0 && length(statement.Action) > 0]
    }
  }

  tasks = toset(concat(["chunker", "worker", "reassembler", "sweeper"], contains(keys(var.queue_arns), "map-gpu") ? ["gpu-worker"] : []))
}

# Programs in containers.

resource "aws_iam_role" "task" {
  for_each = local.tasks

  name = "${var.name}-${each.value}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "task" {
  for_each = local.tasks

  name   = "segue"
  role   = aws_iam_role.task[each.value].id
  policy = jsonencode(local.policies[each.value])
}

# What starts the containers: pulls the image, writes the log. Never seen by a program.

resource "aws_iam_role" "execution" {
  name = "${var.name}-execution"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        # the one action that knows no resource: it hands out a token and opens no repository
        Sid      = "Token"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.repository_arns
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [for program in local.tasks : "arn:${var.partition}:logs:${var.region}:${var.account_id}:log-group:/${var.name}/${program}:log-stream:*"]
      },
    ] : statement if length(statement.Resource) > 0]
  })
}

# The function.

resource "aws_iam_role" "ingest" {
  name = "${var.name}-ingest"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "ingest" {
  name = "segue"
  role = aws_iam_role.ingest.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.policies.ingest.Statement, [for statement in [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:${var.partition}:logs:${var.region}:${var.account_id}:log-group:/${var.name}/ingest:log-stream:*"]
      },
      {
        # the service reads the queue in the function's name
        Sid      = "Uploads"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        Resource = [for lane, arn in var.queue_arns : arn if lane == "uploads"]
      },
      {
        Sid      = "PutAside"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [for lane, arn in var.dead_queue_arns : arn if lane == "chunking"]
      },
    ] : statement if length(statement.Resource) > 0])
  })
}

# For people and services that use the pipeline from outside; attached by whoever makes them.

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "Submit, watch, retry, cancel and delete jobs of ${var.name}"
  policy      = jsonencode(local.policies.operator)
}
