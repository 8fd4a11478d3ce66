output "service_name" {
  description = "Name of the service."
  value       = aws_ecs_service.this.name
}

output "log_group_name" {
  description = "Name of its log group."
  value       = module.task.log_group_name
}
