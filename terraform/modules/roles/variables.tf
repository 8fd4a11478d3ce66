variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn, aws-us-gov."
  type        = string
  default     = "aws"
}

variable "input_bucket_arn" {
  description = "Bucket of input/ and segments/."
  type        = string
}

variable "output_bucket_arn" {
  description = "Bucket of work/ and jobs/."
  type        = string
}

variable "table_arns" {
  description = "The tables."
  type = object({
    jobs        = string
    completions = string
    leases      = string
    assets      = string
  })
}

variable "queue_arns" {
  description = "The lanes."
  type        = map(string)
}

variable "dead_queue_arns" {
  description = "The dead letters of each lane."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key of all of them."
  type        = string
}

variable "repository_arns" {
  description = "ECR repositories that images are pulled from; empty where they come from elsewhere."
  type        = list(string)
  default     = []
}
