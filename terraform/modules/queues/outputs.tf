output "urls" {
  description = "URL of each lane."
  value       = { for lane, queue in aws_sqs_queue.lane : lane => queue.url }
}

output "arns" {
  description = "ARN of each lane."
  value       = { for lane, queue in aws_sqs_queue.lane : lane => queue.arn }
}

output "names" {
  description = "Name of each lane's queue."
  value       = { for lane, queue in aws_sqs_queue.lane : lane => queue.name }
}

output "dead_arns" {
  description = "ARN of the dead letters of each lane."
  value       = { for lane, queue in aws_sqs_queue.dead : lane => queue.arn }
}

output "dead_names" {
  description = "Name of the queue of dead letters of each lane."
  value       = { for lane, queue in aws_sqs_queue.dead : lane => queue.name }
}
