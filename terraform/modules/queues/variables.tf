variable "name" {
  description = "Name of the deployment; queues are named NAME-LANE."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that messages are encrypted with."
  type        = string
}

variable "account_id" {
  description = "Account of the bucket that tells of uploads."
  type        = string
}

variable "lanes" {
  description = "The queues."
  type        = list(string)
  default     = ["chunking", "map", "reassembly"]
}

variable "upload_lane" {
  description = "The lane that S3 tells of uploads; null where it tells a function."
  type        = string
  default     = "chunking"

  validation {
    condition     = var.upload_lane == null || contains(var.lanes, coalesce(var.upload_lane, "-"))
    error_message = "The lane that S3 tells of uploads has to be one of the lanes."
  }
}

variable "upload_bucket_arn" {
  description = "The bucket that tells of uploads."
  type        = string
}

variable "visibility_timeout_s" {
  description = "Seconds for which a message is hidden where its receiver names no time. Workers name theirs and renew it; a function that reads a queue needs six times its own timeout."
  type        = number
  default     = 360
}

variable "max_receive_counts" {
  description = "Receives after which SQS itself puts a message aside, by lane; 100 where none is named."
  type        = map(number)
  default     = {}
}
