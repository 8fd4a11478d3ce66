variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account of the deployment."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "emails" {
  description = "Who is told. Each has to confirm once."
  type        = list(string)
  default     = []
}

variable "queue_names" {
  description = "Name of each lane's queue."
  type        = map(string)
}

variable "dead_queue_names" {
  description = "Name of each lane's dead letters."
  type        = map(string)
}

variable "table_names" {
  description = "Names of the tables."
  type        = map(string)
}

variable "log_group_names" {
  description = "Log group of each program."
  type        = map(string)
  default     = {}
}

variable "services" {
  description = "Cluster of each service."
  type        = map(string)
  default     = {}
}

variable "sweeper" {
  description = "The service that sweeps; null where none runs here."
  type        = object({ cluster = string, service = string })
  default     = null
}

variable "function_name" {
  description = "The function that takes uploads; null where there is none."
  type        = string
  default     = null
}

variable "oldest_message_s" {
  description = "Age of the oldest message, seconds, that a person hears of. A task may take long, but it shall not wait long."
  type        = number
  default     = 1800
}

variable "stalled_per_15_min" {
  description = "How often the sweeper may drive jobs on in 15 minutes. It does so for every long task now and then."
  type        = number
  default     = 50
}

variable "failed_per_15_min" {
  description = "Jobs that may fail in 15 minutes. A bad file fails its own job."
  type        = number
  default     = 5
}

variable "errors_per_15_min" {
  description = "Errors that may be logged in 15 minutes."
  type        = number
  default     = 10
}

variable "monthly_budget_usd" {
  description = "What a month may cost, US dollars; null for no budget."
  type        = number
  default     = null
}

variable "cost_tag" {
  description = "The tag that all resources of the deployment carry."
  type        = object({ key = string, value = string })
}
