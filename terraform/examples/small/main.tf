# A small deployment: everything on Fargate spot, nothing but the sweeper while nothing is to
# be done. Costs: docs/aws.md.

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
  description = "Image of the programs; infra/deploy builds and names it."
  type        = string
}

variable "repository_arn" {
  description = "Its repository in ECR; infra/deploy makes it."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = list(string)
  default     = []
}

module "segue" {
  source = "../.."

  name            = "segue"
  image           = var.image
  repository_arns = [var.repository_arn]
  zones           = ["${var.region}a"]
  uploads         = "queue"

  cpu = {
    chunker     = { cpu = 512, memory_mb = 1024, scratch_gb = 50, max = 1 }
    worker      = { cpu = 4096, memory_mb = 8192, scratch_gb = 50, max = 4 }
    reassembler = { cpu = 2048, memory_mb = 4096, scratch_gb = 100, max = 1 }
    sweeper     = { cpu = 256, memory_mb = 512, scratch_gb = 21, min = 1 }
  }

  alarm_emails       = var.alarm_emails
  monthly_budget_usd = 150
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
  description = "The services, for infra/deploy."
  value       = module.segue.services
}
