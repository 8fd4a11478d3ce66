variable "name" {
  description = "Name of the bucket."
  type        = string
}

variable "expire" {
  description = "Days after which objects expire, by the first part of their key."
  type        = map(number)
  default     = {}
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
  description = "Whether terraform destroy may delete the bucket with objects in it."
  type        = bool
  default     = false
}

variable "abort_uploads_after_days" {
  description = "Days after which an upload in parts that was never completed is aborted."
  type        = number
  default     = 1
}

variable "keep_versions_days" {
  description = "Days for which what was overwritten or deleted can be brought back."
  type        = number
  default     = 7
}

variable "access_log_bucket" {
  description = "Bucket that takes the access logs; null for none."
  type        = string
  default     = null
}

variable "upload_origins" {
  description = "Web origins that may upload with presigned links."
  type        = list(string)
  default     = []
}
