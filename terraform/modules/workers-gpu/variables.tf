variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "program" {
  description = "Name of the service and of its log."
  type        = string
  default     = "gpu-worker"
}

variable "roles" {
  description = "What it does."
  type        = list(string)
  default     = ["gpu-worker"]
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account of the deployment."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn, aws-us-gov."
  type        = string
  default     = "aws"
}

variable "image" {
  description = "CUDA image, by digest or by a tag that never moves."
  type        = string
}

variable "instance_types" {
  description = "Machines with one GPU, the wanted ones first; spot takes what is there."
  type        = list(string)
  default     = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"]

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for type in var.instance_types : can(regex("^(g4dn|g5|g6)\\.", type))])
    error_message = "Machines are of g4dn, g5 or g6."
  }
}

variable "machine_image_parameter" {
  description = "SSM parameter that names the machine image."
  type        = string
  default     = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
}

variable "cpu" {
  description = "CPU units of a task, 1024 for each core; less than the machine has."
  type        = number
  default     = 3584
}

variable "memory_mb" {
  description = "Memory of a task, MB; less than the smallest of the machines has."
  type        = number
  default     = 13312
}

variable "disk_gb" {
  description = "Disk of a machine, GB."
  type        = number
  default     = 100
}

variable "volume_kms_key_arn" {
  description = "Key of the disks; null for the account's own for EBS. Another key has to be opened to the service-linked role of EC2 Auto Scaling first."
  type        = string
  default     = null
}

variable "spot" {
  description = "Whether machines may be interrupted."
  type        = bool
  default     = true
}

variable "queue" {
  description = "Name of the queue that its size follows."
  type        = string
}

variable "max" {
  description = "Most machines."
  type        = number
  default     = 4
}

variable "messages_per_task" {
  description = "Waiting messages for which one machine more is started."
  type        = number
  default     = 16
}

variable "late_after_s" {
  description = "Age of the oldest message, seconds, at which one machine more is started."
  type        = number
  default     = 600
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
