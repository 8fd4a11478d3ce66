variable "input_bucket" {
  description = "Name of the bucket of sources (input/) and of what is cut from them (segments/)."
  type        = string
}

variable "output_bucket" {
  description = "Name of the bucket of attempts (work/) and of what is published (jobs/)."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that objects are encrypted with."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn, aws-us-gov."
  type        = string
  default     = "aws"
}

variable "force_destroy" {
  description = "Whether terraform destroy may delete buckets with objects in them."
  type        = bool
  default     = false
}

variable "abort_uploads_after_days" {
  description = "Days after which an upload in parts that was never completed is aborted."
  type        = number
  default     = 1
}

variable "expire_transient_after_days" {
  description = "Days after which objects in work/ and segments/ expire. Longer than any job takes, and longer than a failed job shall wait for a retry."
  type        = number
  default     = 14

  validation {
    condition     = var.expire_transient_after_days >= 2
    error_message = "A job may take a day: what it needs must not expire before."
  }
}

variable "expire_sources_after_days" {
  description = "Days after which sources expire; null keeps them."
  type        = number
  default     = null
}

variable "keep_versions_days" {
  description = "Days for which what was overwritten or deleted can be brought back."
  type        = number
  default     = 7
}

variable "access_log_bucket" {
  description = "Bucket that takes the access logs of both; null for none."
  type        = string
  default     = null
}

variable "upload_origins" {
  description = "Web origins that may upload with presigned links."
  type        = list(string)
  default     = []
}
