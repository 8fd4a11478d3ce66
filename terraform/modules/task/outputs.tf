output "arn" {
  description = "ARN of the task definition."
  value       = aws_ecs_task_definition.this.arn
}

output "log_group_name" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
