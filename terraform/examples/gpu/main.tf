# A deployment with GPU machines for speech: EC2 spot, none while nothing is to be done. Uploads
# come by way of a queue and the function. Costs: docs/aws.md.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.60"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "segue" }
  }
}

variable "region" {
  description = "Region of the deployment."
  type        = string
  default     = "us-east-1"
}

variable "image" {
  description = "Image of the CPU programs; infra/deploy builds and names it."
  type        = string
}

variable "cuda_image" {
  description = "Image of the GPU workers; infra/deploy builds and names it."
  type        = string
}

variable "repository_arn" {
  description = "Their repository in ECR; infra/deploy makes it."
  type        = string
}

variable "lambda_bundle" {
  description = "The function: infra/lambda/build makes it."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = list(string)
  default     = []
}

module "segue" {
  source = "../.."

  name            = "segue-gpu"
  image           = var.image
  repository_arns = [var.repository_arn]
  zones           = ["${var.region}a", "${var.region}b"]
  uploads         = "queue-lambda"
  # eight endpoints in two zones would cost more than one NAT; media and rows pass neither
  egress = "nat"
  lambda = { bundle = var.lambda_bundle, architecture = "arm64" }

  # what needs no GPU stays here: carrying, encoding, thumbnails
  cpu = {
    chunker     = { cpu = 1024, memory_mb = 2048, scratch_gb = 100, max = 2 }
    worker      = { cpu = 4096, memory_mb = 8192, scratch_gb = 100, max = 16 }
    reassembler = { cpu = 4096, memory_mb = 8192, scratch_gb = 200, max = 4 }
    sweeper     = { cpu = 256, memory_mb = 512, scratch_gb = 21, min = 1 }
  }
  gpu = {
    image          = var.cuda_image
    instance_types = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"]
    max            = 8
  }

  alarm_emails       = var.alarm_emails
  monthly_budget_usd = 1000
}

output "environment" {
  description = "For whoever submits from outside."
  value       = module.segue.environment
}

output "input_bucket" {
  description = "Put sources to input/JOB/source.EXT here."
  value       = module.segue.input_bucket
}

output "output_bucket" {
  description = "Find results in jobs/JOB/ here."
  value       = module.segue.output_bucket
}

output "services" {
  description = "The services on Fargate, for infra/deploy."
  value       = module.segue.services
}
