variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "program" {
  description = "Name of the service and of its log."
  type        = string
}

variable "roles" {
  description = "What it does: chunker, worker, reassembler, sweeper."
  type        = list(string)
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "cluster_arn" {
  description = "ECS cluster with Fargate's capacity providers."
  type        = string
}

variable "cluster_name" {
  description = "Its name."
  type        = string
}

variable "image" {
  description = "Image, by digest or by a tag that never moves."
  type        = string
}

variable "architecture" {
  description = "x86_64 or arm64."
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

variable "scratch_gb" {
  description = "Disk of one task, GB, 21 to 200."
  type        = number
  default     = 50
}

variable "spot" {
  description = "Whether tasks may be interrupted, at about a third of the price. What is interrupted is given back and done elsewhere."
  type        = bool
  default     = true
}

variable "queue" {
  description = "Name of the queue that its size follows; null for a fixed size of min."
  type        = string
  default     = null
}

variable "min" {
  description = "Fewest tasks."
  type        = number
  default     = 0
}

variable "max" {
  description = "Most tasks."
  type        = number
  default     = 1
}

variable "messages_per_task" {
  description = "Waiting messages for which one task more is started."
  type        = number
  default     = 4
}

variable "subnet_ids" {
  description = "Subnets for workers."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group for workers."
  type        = string
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
