mock_provider "aws" {}

variables {
  name               = "segue"
  program            = "worker"
  roles              = ["worker"]
  region             = "us-east-1"
  image              = "segue@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  launch_type        = "FARGATE"
  cpu                = 1024
  memory_mb          = 2048
  task_role_arn      = "arn:aws:iam::111122223333:role/segue-worker"
  execution_role_arn = "arn:aws:iam::111122223333:role/segue-execution"
  environment        = { INPUT_BUCKET_NAME = "in" }
  kms_key_arn        = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "without_privileges" {
  command = plan

  assert {
    condition     = alltrue([for c in jsondecode(aws_ecs_task_definition.this.container_definitions) : c.readonlyRootFilesystem && !c.privileged && c.user == "10001:10001" && c.linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "the container may more than it has to"
  }

  # the one place where it writes
  assert {
    condition     = [for mount in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].mountPoints : mount.containerPath] == ["/scratch"] && contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment, { name = "TMPDIR", value = "/scratch" })
    error_message = "scratch"
  }

  # sources that are kept leave room for work
  assert {
    condition     = one([for e in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : tonumber(e.value) if e.name == "SEGUE_SOURCE_CACHE"]) == 21474836480
    error_message = "the disk is full of sources"
  }

  # SIGTERM drains within 30 s; KILL comes later than that
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout > 30
    error_message = "it is killed before it gave back what it holds"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].command == ["worker", "--roles", "worker"] && contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment, { name = "INPUT_BUCKET_NAME", value = "in" })
    error_message = "what runs"
  }
}

run "a_role_that_is_none" {
  command = plan

  variables {
    roles = ["janitor"]
  }

  expect_failures = [var.roles]
}

run "an_image_that_moves" {
  command = plan

  variables {
    image = "segue:latest"
  }

  expect_failures = [var.image]
}
