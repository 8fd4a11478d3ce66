variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account of the bucket that tells of uploads."
  type        = string
}

variable "bundle" {
  description = "Zip with the program, named bootstrap, built for the architecture: infra/lambda/build."
  type        = string
}

variable "architecture" {
  description = "arm64 or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

variable "role_arn" {
  description = "Role of the function."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of its settings and its log."
  type        = string
}

variable "environment" {
  description = "The environment contract of the deployment."
  type        = map(string)
}

variable "upload_bucket_arn" {
  description = "The bucket that tells of uploads."
  type        = string
}

variable "queue" {
  description = "The queue that S3 tells of uploads; null where S3 calls the function."
  type        = object({ arn = string }) # an object: whether there is one is known before its ARN is
  default     = null
}

variable "dead_queue_arn" {
  description = "Takes the notices that could not be handled."
  type        = string
}

variable "memory_mb" {
  description = "Memory of the function, MB."
  type        = number
  default     = 256
}

variable "timeout_s" {
  description = "Time limit of one call, seconds."
  type        = number
  default     = 60
}

variable "concurrency" {
  description = "Calls at the same time; -1 for no limit of its own."
  type        = number
  default     = 20
}

variable "log_retention_days" {
  description = "Days for which the log is kept."
  type        = number
  default     = 365
}
