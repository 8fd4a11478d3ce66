output "environment" {
  description = "The environment contract, for whoever submits from outside: terraform output -json environment."
  value       = local.worker_environment
}

output "input_bucket" {
  description = "Put sources to input/JOB/source.EXT here."
  value       = module.storage.input_bucket
}

output "output_bucket" {
  description = "Find results in jobs/JOB/ here."
  value       = module.storage.output_bucket
}

output "operator_policy_arn" {
  description = "Policy for people and services that use the pipeline from outside."
  value       = module.roles.operator_policy_arn
}

output "alarm_topic_arn" {
  description = "Topic of the alarms."
  value       = module.watch.topic_arn
}

output "services" {
  description = "The services on Fargate, and their cluster."
  value       = { for program, workers in module.workers_cpu : program => { cluster = aws_ecs_cluster.cpu.name, service = workers.service_name } }
}
