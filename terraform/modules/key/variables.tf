variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account that the key belongs to."
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
