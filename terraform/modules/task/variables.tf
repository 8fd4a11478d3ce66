variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "program" {
  description = "Name of the program in logs."
  type        = string
}

variable "roles" {
  description = "What it does: chunker, worker, gpu-worker, reassembler, sweeper."
  type        = list(string)

  validation {
    condition     = length(var.roles) > 0 && length(setsubtract(var.roles, ["chunker", "worker", "gpu-worker", "reassembler", "sweeper"])) == 0
    error_message = "Roles are chunker, worker, gpu-worker, reassembler and sweeper."
  }
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "image" {
  description = "Image, by digest or by a tag that never moves."
  type        = string

  validation {
    condition     = !endswith(var.image, ":latest") && can(regex("[:@]", var.image))
    error_message = "The image is named by a digest or a tag, and not by latest: a fleet has to be of one version."
  }
}

variable "launch_type" {
  description = "FARGATE or EC2."
  type        = string
}

variable "architecture" {
  description = "x86_64 or arm64, for Fargate."
  type        = string
  default     = "x86_64"
}

variable "cpu" {
  description = "CPU units, 1024 for each core."
  type        = number
}

variable "memory_mb" {
  description = "Memory, MB."
  type        = number
}

variable "gpus" {
  description = "GPUs of one task."
  type        = number
  default     = 0
}

variable "scratch_gb" {
  description = "Disk of one task, GB; for Fargate 21 to 200. Two fifths of it keep sources for further tasks; a reassembler holds the source and the result."
  type        = number
  default     = 50
}

variable "task_role_arn" {
  description = "Role of the program."
  type        = string
}

variable "execution_role_arn" {
  description = "Role of what starts the container."
  type        = string
}

variable "environment" {
  description = "The environment contract of the deployment."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key of the log."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which the log is kept."
  type        = number
  default     = 365
}
