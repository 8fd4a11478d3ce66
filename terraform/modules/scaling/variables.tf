variable "cluster" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "service" {
  description = "Name of the ECS service."
  type        = string
}

variable "queue" {
  description = "Name of the queue that it works on."
  type        = string
}

variable "min" {
  description = "Fewest tasks; 0 costs nothing while nothing is to be done."
  type        = number
}

variable "max" {
  description = "Most tasks."
  type        = number

  validation {
    condition     = var.max >= 1 && var.max >= var.min
    error_message = "The most is at least 1 and at least the fewest."
  }
}

variable "messages_per_task" {
  description = "Waiting messages for which one task more is started."
  type        = number
  default     = 4
}

variable "late_after_s" {
  description = "Age of the oldest message, seconds, at which one task more is started."
  type        = number
  default     = 300
}

variable "start_s" {
  description = "Seconds until a new task works: no further ones are added before."
  type        = number
  default     = 90
}

variable "idle_after_min" {
  description = "Minutes without any message after which it shrinks to the fewest."
  type        = number
  default     = 10
}
