variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that rows are encrypted with."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  type        = bool
  default     = true
}
