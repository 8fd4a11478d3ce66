# The policies that are applied, read back: nobody may do what its program does not do.

mock_provider "aws" {}

variables {
  name              = "segue"
  account_id        = "111122223333"
  region            = "eu-central-1"
  input_bucket_arn  = "arn:aws:s3:::in"
  output_bucket_arn = "arn:aws:s3:::out"
  table_arns = {
    jobs        = "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-jobs"
    completions = "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-segment-completions"
    leases      = "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-reassembly-triggered"
    assets      = "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-assets"
  }
  queue_arns = {
    chunking   = "arn:aws:sqs:eu-central-1:111122223333:segue-chunking"
    map        = "arn:aws:sqs:eu-central-1:111122223333:segue-map"
    map-gpu    = "arn:aws:sqs:eu-central-1:111122223333:segue-map-gpu"
    reassembly = "arn:aws:sqs:eu-central-1:111122223333:segue-reassembly"
    uploads    = "arn:aws:sqs:eu-central-1:111122223333:segue-uploads"
  }
  dead_queue_arns = {
    chunking   = "arn:aws:sqs:eu-central-1:111122223333:segue-chunking-dead"
    map        = "arn:aws:sqs:eu-central-1:111122223333:segue-map-dead"
    map-gpu    = "arn:aws:sqs:eu-central-1:111122223333:segue-map-gpu-dead"
    reassembly = "arn:aws:sqs:eu-central-1:111122223333:segue-reassembly-dead"
    uploads    = "arn:aws:sqs:eu-central-1:111122223333:segue-uploads-dead"
  }
  kms_key_arn     = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  repository_arns = ["arn:aws:ecr:eu-central-1:111122223333:repository/segue"]
}

run "no_wildcards" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in concat(
        [for role in aws_iam_role_policy.task : role.policy],
        [aws_iam_role_policy.ingest.policy, aws_iam_role_policy.execution.policy, aws_iam_policy.operator.policy],
        ) : [
        for statement in jsondecode(policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "an action is open"
  }

  # what a resource leaves open is the name of an object or of a log stream, and nothing else
  assert {
    condition = alltrue(flatten([
      for policy in concat(
        [for role in aws_iam_role_policy.task : role.policy],
        [aws_iam_role_policy.ingest.policy, aws_iam_policy.operator.policy],
        ) : [
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource : !strcontains(resource, "*") || can(regex("^arn:aws:s3:::(in|out)/(input|segments|work|jobs)/\\*$", resource)) || can(regex(":log-stream:\\*$", resource))
        ]
      ]
    ]))
    error_message = "a resource is open"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource != ["*"] || statement.Action == ["ecr:GetAuthorizationToken"]
    ])
    error_message = "only the registry's token knows no resource"
  }

  assert {
    condition     = !strcontains(jsonencode(output.policies), "dynamodb:Scan")
    error_message = "nobody may scan a table"
  }
}

run "each_program_its_own" {
  command = plan

  # every write to what is published passes the reassembler's term, or the sweeper that ends
  # what it committed
  assert {
    condition = toset([
      for program, policy in output.policies : program
      if length([for s in policy.Statement : s if contains(s.Action, "s3:PutObject") && contains(s.Resource, "arn:aws:s3:::out/jobs/*")]) > 0
    ]) == toset(["reassembler", "sweeper"])
    error_message = "who may publish"
  }

  assert {
    condition = toset([
      for program, policy in output.policies : program
      if length([for s in policy.Statement : s if contains(s.Action, "s3:PutObject") && contains(s.Resource, "arn:aws:s3:::in/input/*")]) > 0
    ]) == toset(["operator"])
    error_message = "no program writes a source"
  }

  assert {
    condition = toset([
      for program, policy in output.policies : program
      if length([for s in policy.Statement : s if contains(s.Action, "dynamodb:DeleteItem") || contains(s.Action, "dynamodb:BatchWriteItem")]) > 0
    ]) == toset(["operator", "sweeper"])
    error_message = "who deletes jobs"
  }

  assert {
    condition = {
      for program, policy in output.policies : program => flatten([for s in policy.Statement : s.Resource if s.Sid == "Receive"])
      } == {
      chunker     = ["arn:aws:sqs:eu-central-1:111122223333:segue-chunking"]
      worker      = ["arn:aws:sqs:eu-central-1:111122223333:segue-map"]
      gpu-worker  = ["arn:aws:sqs:eu-central-1:111122223333:segue-map-gpu"]
      reassembler = ["arn:aws:sqs:eu-central-1:111122223333:segue-reassembly"]
      sweeper     = []
      ingest      = []
      operator    = []
    }
    error_message = "who receives from where"
  }

  # the function sees no media and no lease, and writes counters without reading completions
  assert {
    condition     = !strcontains(aws_iam_role_policy.ingest.policy, "reassembly-triggered") && !strcontains(aws_iam_role_policy.ingest.policy, "arn:aws:s3:::out")
    error_message = "the function may too much"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement : s.Action if s.Sid == "Completions"] == [["dynamodb:PutItem"]]
    error_message = "the function may do more to completions than create counters"
  }

  # the sweeper finds jobs in the index of open jobs, a person by their state
  assert {
    condition = {
      for program, policy in output.policies : program => flatten([for s in policy.Statement : s.Resource if s.Sid == "JobsByIndex"])
      if length([for s in policy.Statement : s if s.Sid == "JobsByIndex"]) > 0
      } == {
      sweeper  = ["arn:aws:dynamodb:eu-central-1:111122223333:table/segue-jobs/index/by-open", "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-jobs/index/by-state"]
      operator = ["arn:aws:dynamodb:eu-central-1:111122223333:table/segue-jobs/index/by-state"]
    }
    error_message = "who lists jobs"
  }

  # people and services keep the catalogue, no program of the pipeline reads it
  assert {
    condition = {
      for program, policy in output.policies : program => toset(flatten([for s in policy.Statement : s.Action if s.Sid == "Assets"]))
      if strcontains(jsonencode(policy), "segue-assets")
      } == {
      operator = toset(["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"])
    }
    error_message = "who may do what to assets"
  }

  assert {
    condition = {
      for program, policy in output.policies : program => flatten([for s in policy.Statement : [for action in s.Action : [for resource in s.Resource : [action, resource]]] if s.Sid == "AssetsByOwner"])
      if length([for s in policy.Statement : s if s.Sid == "AssetsByOwner"]) > 0
      } == {
      operator = ["dynamodb:Query", "arn:aws:dynamodb:eu-central-1:111122223333:table/segue-assets/index/by-owner"]
    }
    error_message = "who lists assets"
  }

  # the key opens nothing but through the three services
  assert {
    condition = alltrue([
      for program, policy in output.policies : alltrue([
        for s in policy.Statement : jsonencode(s.Condition.StringEquals["kms:ViaService"]) == jsonencode(["s3.eu-central-1.amazonaws.com", "sqs.eu-central-1.amazonaws.com", "dynamodb.eu-central-1.amazonaws.com"]) if s.Sid == "Key"
      ])
    ])
    error_message = "the key is open"
  }
}

# Lanes that a deployment asks for.
run "further_lanes" {
  command = plan

  variables {
    queue_arns = {
      chunking   = "arn:aws:sqs:eu-central-1:111122223333:segue-chunking"
      map        = "arn:aws:sqs:eu-central-1:111122223333:segue-map"
      reassembly = "arn:aws:sqs:eu-central-1:111122223333:segue-reassembly"
      net        = "arn:aws:sqs:eu-central-1:111122223333:segue-net"
      notify     = "arn:aws:sqs:eu-central-1:111122223333:segue-notify"
      study      = "arn:aws:sqs:eu-central-1:111122223333:segue-study"
    }
    dead_queue_arns = {
      chunking   = "arn:aws:sqs:eu-central-1:111122223333:segue-chunking-dead"
      map        = "arn:aws:sqs:eu-central-1:111122223333:segue-map-dead"
      reassembly = "arn:aws:sqs:eu-central-1:111122223333:segue-reassembly-dead"
      net        = "arn:aws:sqs:eu-central-1:111122223333:segue-net-dead"
      notify     = "arn:aws:sqs:eu-central-1:111122223333:segue-notify-dead"
      study      = "arn:aws:sqs:eu-central-1:111122223333:segue-study-dead"
    }
  }

  assert {
    condition     = flatten([for s in output.policies.worker.Statement : s.Resource if s.Sid == "Receive"]) == ["arn:aws:sqs:eu-central-1:111122223333:segue-map", "arn:aws:sqs:eu-central-1:111122223333:segue-net"]
    error_message = "workers receive the tasks that need the network"
  }

  assert {
    condition = {
      for lane in ["net", "notify", "study"] : lane => toset([
        for program, policy in output.policies : program
        if contains(flatten([for s in policy.Statement : s.Resource if s.Sid == "Send"]), "arn:aws:sqs:eu-central-1:111122223333:segue-${lane}")
      ])
      } == {
      net    = toset(["chunker", "worker", "gpu-worker", "sweeper", "operator"])
      notify = toset(["chunker", "worker", "gpu-worker", "reassembler", "sweeper", "operator"])
      study  = toset(["chunker", "reassembler", "sweeper", "operator"])
    }
    error_message = "who sends to further lanes"
  }
}

# What the adapter calls is what its design.md says, and somebody may do each of it.
run "nothing_is_missing" {
  command = plan

  assert {
    condition = length(setsubtract(
      toset([for action in regexall("`((?:s3|sqs|dynamodb):[A-Za-z]+)`", file("../../../packages/adapter-aws/design.md")) : action[0]]),
      toset(flatten([for policy in values(output.policies) : [for s in policy.Statement : s.Action]])),
    )) == 0
    error_message = "an action that the adapter needs is given to nobody"
  }
}
